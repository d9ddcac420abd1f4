"""A synthetic, diagnostic set for referring video object segmentation: scenes whose sentences are checked by logic.

One scene graph (scene.py) is drawn as pictures (render.py) and described in sentences (language.py); docs/synthetic.md.
"""

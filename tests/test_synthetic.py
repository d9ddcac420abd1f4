"""The synthetic set: its sentences are true, held against the masks and not against the code that chose them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.data.synthetic import nouns
from tools.data.synthetic.camera import draw_camera
from tools.data.synthetic.conditions import SENTENCE_KINDS, At, Description, Does, Has, Noun, Ranks, Relates
from tools.data.synthetic.judge import Judge, frames_that_tell
from tools.data.synthetic.language import put_into_words
from tools.data.synthetic.manners import judge_manners
from tools.data.synthetic.motion import MANNERS, make_track
from tools.data.synthetic.naming import PEOPLE
from tools.data.synthetic.scene import ATTRIBUTES, Look, Scene, Thing
from tools.data.synthetic.sentences import PLACES, RANKS, RELATIONS, simple_referrals
from tools.data.synthetic.shapes import KINDS
from tools.data.synthetic.silhouettes import observe, pose_figures
from tools.data.synthetic.textures import COLOURS, PATTERNS
from tools.data.synthetic.vocabulary import vocabulary
from tools.data.synthetic.writer import Plan, direct

SIZE, FRAMES = (96, 168), 12
RED_BALL = Look("ball", "red", "plain", "small")


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    """Twenty scenes with their sentences, not drawn; a quarter of them of the test split."""
    plan = Plan(tmp_path_factory.mktemp("none"), {}, 0, SIZE, FRAMES)
    splits = ["test" if index % 4 == 3 else "train" for index in range(20)]
    return [direct(np.random.default_rng([7, index]), plan, split, index) for index, split in enumerate(splits)]


def thing(look=RED_BALL, manner="still", home=(0.5, 0.6), depth=0.0, seed=0):
    track = make_track(np.random.default_rng(seed), manner, home, FRAMES)
    return Thing(look, track, depth, 1, (0.0, 0.0, 0.0), 0.9, seed)


def facts_of(*things, camera=None):
    steady = np.tile(np.eye(2, 3), (FRAMES, 1, 1))
    scene = Scene(things, steady if camera is None else camera, SIZE)
    return observe(scene, pose_figures(scene))


def judge_of(*things):
    return Judge(tuple(each.look for each in things), facts_of(*things))


def middle(labels, number):
    """Centre of a thing's mask in one frame (x, y as shares of the picture); None where it is not seen."""
    y, x = np.nonzero(labels == number + 1)
    return None if len(x) == 0 else (x.mean() / labels.shape[1], y.mean() / labels.shape[0])


# What sentences say, read off looks and masks in the plainest way, without the thresholds of the judge.


def looks_right(condition, look):
    if isinstance(condition, Has):
        return getattr(look, condition.attribute) == condition.value
    return not isinstance(condition, Noun) or nouns.true_of(condition.word, look.kind) == 1


def seen_at(labels, number, place, frame):
    x, y = middle(labels[frame], number)
    return {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5, "middle": 0.3 < x < 0.7}[place]


def seen_moving(labels, number, manner):
    centres = [middle(frame, number) for frame in labels]
    seen = [centre is not None for centre in centres]
    (x0, y0), (x1, y1) = centres[seen.index(True)], centres[len(seen) - 1 - seen[::-1].index(True)]
    return {
        "left": x1 < x0,
        "right": x1 > x0,
        "rises": y1 < y0,
        "falls": y1 > y0,
        "leaves": seen[0] and not seen[-1],
        "enters": seen[-1] and not seen[0],
        "returns": seen[0] and seen[-1] and not all(seen),
    }.get(manner, any(seen))


def test_every_sentence_is_true_of_the_thing_that_it_names(takes):
    checked = dict.fromkeys(SENTENCE_KINDS, 0)
    for take in takes:
        labels, looks = take.facts.labels, take.scene.looks
        for referral in take.referrals:
            number, description = referral.thing, referral.description
            assert all(looks_right(condition, looks[number]) for condition in description.conditions)
            match description.decisive:
                case At(place, when):
                    assert seen_at(labels, number, place, 0 if when == "start" else -1)
                case Does(manner):
                    assert seen_moving(labels, number, manner)
                case Ranks("x", place, of):
                    others = description.without_decisive.conditions
                    among = [k for k in range(len(looks)) if all(looks_right(c, looks[k]) for c in others)]
                    assert len(among) == of
                    assert sorted(among, key=lambda k: middle(labels[0], k)[0])[place] == number
            checked[description.kind] += 1
    assert all(count >= 10 for count in checked.values()), checked


def test_looks_alone_leave_one_thing_or_several_as_the_kind_of_sentence_says(takes):
    for take in takes:
        looks = take.scene.looks
        for number, description in ((r.thing, r.description) for r in take.referrals):
            said = [c for c in description.conditions if isinstance(c, Has | Noun)]
            meant = [k for k, look in enumerate(looks) if all(looks_right(c, look) for c in said)]
            if description.kind == "appearance":
                assert meant == [number]
                apart = [[a for a in ATTRIBUTES if getattr(x, a) != getattr(looks[number], a)] for x in looks]
                assert [description.asked] in apart  # a distractor that differs in just what is asked
            else:
                assert number in meant and len(meant) > 1  # the track decides, not the look


def test_each_sentence_holds_of_one_thing_and_of_several_without_its_decisive_part(takes):
    for take in takes:
        judge = Judge(take.scene.looks, take.facts)
        for number, description in ((r.thing, r.description) for r in take.referrals):
            truth = judge.truth(description)
            assert truth[number] == 1 and (np.delete(truth, number) == -1).all()
            assert (judge.truth(description.without_decisive) == 1).sum() > 1


def test_frames_that_tell_show_by_themselves_what_is_meant(takes):
    """From the masks of the frame alone, for what is easily said of them."""
    seen = Counter()
    for take in takes:
        for number, description in ((r.thing, r.description) for r in take.referrals):
            told = frames_that_tell(take.judge, description, number)
            match description.decisive:
                case Does() | Ranks(by="enters" | "leaves" | "stops" | "speed"):
                    assert told == []
                case At(place="left" | "right" as side):
                    looks, others = take.scene.looks, description.conditions[:-1]
                    for labels in take.facts.labels[told]:
                        among = [k for k in range(len(looks)) if all(looks_right(c, looks[k]) for c in others)]
                        xs = {k: place[0] for k in among if (place := middle(labels, k)) is not None}
                        assert (min if side == "left" else max)(xs, key=xs.get) == number
                        seen[side] += 1
                case Has():
                    assert set(told) == set(np.flatnonzero(take.facts.area[number] > 0))
                    seen["look"] += 1
    assert min(seen["left"], seen["right"], seen["look"]) >= 20, seen


def test_simple_sentences_name_one_thing_by_its_look(takes):
    count = 0
    for take in takes:
        looks = take.scene.looks
        referrals = simple_referrals(np.random.default_rng(0), take.judge, 2)
        assert max(Counter(referral.thing for referral in referrals).values(), default=0) <= 2
        for referral in referrals:
            said = referral.description.conditions
            assert all(isinstance(c, Has | Noun) for c in said)
            assert [k for k, look in enumerate(looks) if all(looks_right(c, look) for c in said)] == [referral.thing]
            count += 1
    assert count > len(takes)


def test_named_things_are_seen_long_and_large_enough(takes):
    for take in takes:
        for number in {referral.thing for referral in take.referrals}:
            shares = [(labels == number + 1).mean() for labels in take.facts.labels]
            assert np.mean(np.array(shares) >= 0.003) >= 1 / 3


def test_a_scene_asks_for_two_kinds_of_sentences_or_more_and_some_have_twins(takes):
    assert all(len({r.description.kind for r in take.referrals}) > 1 for take in takes)
    twins = [r for take in takes for r in take.referrals if take.scene.looks.count(take.scene.looks[r.thing]) > 1]
    assert len(twins) >= 10
    assert all(3 <= len(take.scene.things) <= 6 for take in takes)


@given(st.integers(0, 10**6), st.sampled_from(sorted(MANNERS)), st.floats(0.2, 0.8), st.floats(0.4, 0.6))
@settings(max_examples=60, deadline=None)
def test_what_was_planned_is_what_is_seen(seed, manner, x, y):
    camera = draw_camera(np.random.default_rng(seed), FRAMES, SIZE)
    facts = facts_of(thing(manner=manner, home=(x, y), seed=seed), camera=camera)
    verdicts = {name: verdict[0] for name, verdict in judge_manners(facts).items()}
    assert verdicts[manner] == 1
    opposite = {"left": "right", "rises": "falls", "nears": "recedes", "leaves": "enters", "stops": "starts"}
    for one, other in opposite.items():
        assert not (verdicts[one] == verdicts[other] == 1)


def test_a_thing_that_stays_does_nothing_else():
    verdicts = judge_manners(facts_of(thing()))
    assert {name for name, verdict in verdicts.items() if verdict[0] != -1} == {"still"}


def test_in_doubt_nothing_is_named():
    judge = judge_of(thing(Look("cat", "red", "plain", "big"), home=(0.3, 0.6)), thing(home=(0.7, 0.6)))
    assert judge.names(Description((Noun("pet"),))) == 0
    doubtful = judge_of(thing(Look("cat", "red", "plain", "big")), thing(Look("fish", "red", "plain", "big")))
    assert doubtful.names(Description((Noun("pet"),))) is None
    plain = Description((Has("pattern", "plain"), Noun("ball")))
    assert judge_of(thing(), thing(Look("ball", "red", "shiny", "small"))).names(plain) is None


@pytest.mark.parametrize(
    ("xs", "place", "named"),
    [
        ((0.2, 0.8), 0, 0),
        ((0.8, 0.2), 0, 1),
        ((0.5, 0.52), 0, None),
        ((0.5, 0.52, 0.2), 0, 2),  # how the others stand does not matter
        ((0.5, 0.52, 0.2), 1, None),
    ],
)
def test_an_order_needs_gaps(xs, place, named):
    judge = judge_of(*(thing(home=(x, 0.2 + 0.3 * row)) for row, x in enumerate(xs)))
    assert judge.names(Description((Noun("ball"), Ranks("x", place, len(xs))))) == named
    assert judge.names(Description((Noun("ball"), Ranks("x", place, 4)))) is None  # there are not so many


@pytest.mark.parametrize(("depth", "relation"), [(-1.0, "behind"), (1.0, "front")])
def test_depth_decides_who_passes_behind(depth, relation):
    box = thing(Look("box", "blue", "plain", "big"), depth=0.0)
    ball = thing(manner="right", depth=depth)
    judge = judge_of(ball, thing(home=(0.15, 0.2)), box)
    other = Description((Noun("box"),))
    truth = {name: judge.holds(Relates(name, other))[0] for name in ("behind", "front")}
    assert truth[relation] == 1 and min(truth.values()) == -1
    hides = judge.holds(Relates("hides", Description((Noun("ball"), Does("right")))))
    assert (hides[2] == 1) == (relation == "behind")


def test_a_thing_behind_another_has_an_empty_mask():
    ball, box = thing(depth=-1.0), thing(Look("box", "blue", "plain", "big"))
    facts = facts_of(ball, box)
    assert (facts.area[0] == 0).all() and (facts.whole[0] > 0.003).all()
    assert not (facts.labels == 1).any()
    assert not Judge((ball.look, box.look), facts).nameable[0]


def test_the_vocabulary_holds_every_word_of_every_construction():
    rng, words = np.random.default_rng(0), set(vocabulary())
    anchor = Description((Has("pattern", "furry"), Noun("car")))
    decisive = [At(place, when) for place in PLACES for when in ("start", "end")]
    decisive += [Does(manner) for manner in MANNERS] + [Relates(relation, anchor) for relation in RELATIONS]
    decisive += [Ranks(by, place, of) for by in RANKS for of in (2, 3, 6) for place in range(of)]
    decisive += [Has("size", "small"), *(Has("pattern", pattern) for pattern in PATTERNS), Noun("person")]
    said = set()
    for kind in KINDS:
        for condition in decisive:
            bundle = (Has("colour", str(rng.choice(list(COLOURS)))), Noun(str(rng.choice(nouns.NOUNS[kind]))))
            sentence = put_into_words(rng, Description((*bundle, condition)), kind)
            assert 3 <= len(sentence.split()) <= 15 and "{" not in sentence, sentence
            said |= set(sentence.lower().split())
    assert said <= words, said - words
    assert len(words) < 400 and len(said) > 0.8 * len(words)


def test_people_have_a_colour_by_their_clothes_alone():
    looks = (Has("colour", "white"), Has("pattern", "furry"))
    for noun in sorted(PEOPLE):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            for decisive in (
                At("left"),
                Ranks("x", 0, 2),
                Ranks("enters", 1, 2),
                Relates("near", Description((*looks, Noun(noun)))),
            ):
                sentence = put_into_words(rng, Description((*looks, Noun(noun), decisive)), "man").lower().split()
                people = [k for k, word in enumerate(sentence) if word in (noun, nouns.plural(noun))]
                assert people and not {sentence[k - 1] for k in people} & {"white", "furry", "fuzzy", "hairy"}


@pytest.mark.parametrize("colour", ["orange", "red"])
def test_an_before_a_vowel(colour):
    description = Description((Has("colour", colour), Noun("cup"), At("left")))
    sentences = [put_into_words(np.random.default_rng(seed), description, "cup").lower() for seed in range(60)]
    begun = {sentence.split()[0] for sentence in sentences}
    assert begun == {"the", "an", "orange"} if colour == "orange" else begun == {"the", "a", "red"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_covers_a_sensible_area_and_moves_its_parts(kind):
    big, small = (facts_of(thing(Look(kind, "red", "plain", size))) for size in ("big", "small"))
    assert big.whole[0].min() > 0.01 and small.whole[0].min() > 0.004
    assert 2.4 < (big.whole[0] / small.whole[0]).mean() < 4
    assert any((big.labels[0] != later).any() for later in big.labels[1:])


def test_kept_out_combinations_are_some_of_each_kind_and_colour():
    unseen = {(kind, colour) for kind in KINDS for colour in COLOURS if Look(kind, colour, "plain", "big").unseen}
    assert 0.1 < len(unseen) / (len(KINDS) * len(COLOURS)) < 0.15
    assert {kind for kind, _ in unseen} == set(KINDS) and {colour for _, colour in unseen} == set(COLOURS)

// Sends a dropped or chosen video straight to the visitor's session; `element`, `props` and `trigger` are Gradio's.
const zone = element.querySelector(".zone");
const said = element.querySelector(".said");

const say = (text, refused) => {
  said.textContent = text;
  said.classList.toggle("refused", refused);
};

const send = async (file) => {
  if (!file) return;
  if (file.size > props.most_bytes) {
    say(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB, but at most ${props.most_bytes / 1e6} MB are taken.`, true);
    return;
  }
  say(`${file.name}: sending and checking …`, false);
  try {
    const answer = await fetch(props.value, { method: "PUT", body: file });
    const { message } = await answer.json();
    say(`${file.name}: ${message}`, !answer.ok);
    if (answer.ok) trigger("upload");
  } catch {
    say(`${file.name}: it could not be sent. Is the server still there?`, true);
  }
};

zone.querySelector("input").addEventListener("change", (event) => {
  send(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  zone.addEventListener(name, (event) => {
    event.preventDefault();
    zone.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") send(event.dataTransfer.files[0]);
  });
}

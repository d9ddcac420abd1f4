// Sends a dropped or chosen video straight to the visitor's session; `element`, `props` and `trigger` are Gradio's.
const zone = element.querySelector(".zone");
const said = element.querySelector(".said");

const say = (text, refused) => {
  said.textContent = text;
  said.classList.toggle("refused", refused);
};

// The session's address, which a page has some moments after it is shown; later where the server is busy.
const address = async () => {
  for (let left = 600; !props.value && left > 0; left--) await new Promise((then) => setTimeout(then, 100));
  return props.value;
};

const send = async (file) => {
  if (!file) return;
  if (file.size > props.most_bytes) {
    say(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB, but at most ${props.most_bytes / 1e6} MB are taken.`, true);
    return;
  }
  say(`${file.name}: sending and checking …`, false);
  try {
    const answer = await fetch(await address(), { method: "PUT", body: file });
    const { message } = await answer.json();
    say(`${file.name}: ${message}`, !answer.ok);
    if (answer.ok) trigger("upload");
  } catch {
    say(`${file.name}: it could not be sent. Is the server still there?`, true);
  }
};

const input = zone.querySelector("input");
const chosen = () => {
  send(input.files[0]);
  input.value = ""; // so that the same file can be chosen again
};
input.addEventListener("change", chosen);
chosen(); // what was chosen before this ran
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  zone.addEventListener(name, (event) => {
    event.preventDefault();
    zone.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") send(event.dataTransfer.files[0]);
  });
}

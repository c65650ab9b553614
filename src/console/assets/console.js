// Everything works without this. It keeps what was typed from being lost, and a button from being pressed twice.
"use strict";
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  typed = false;
});
let typed = false;
document.addEventListener("input", (event) => { if (event.target.form && event.target.form.method === "post") typed = true; });
addEventListener("beforeunload", (event) => { if (typed) event.preventDefault(); });
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

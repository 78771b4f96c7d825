// What a keyboard and a shared address gain from a script; everything works without it.
"use strict";

// "/" goes to the search field, as on other search pages.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    const field = document.getElementById("q");
    if (field) {
      event.preventDefault();
      field.select();
    }
  }
});

// Addresses stay short: what is empty or where it stands anyway is left out.
document.addEventListener("htmx:configRequest", (event) => {
  const values = event.detail.parameters;
  if (event.detail.elt.id === "search") {
    if (values.balance === "50") delete values.balance;
    if (values.q === "") delete values.q;
  }
});

// The slider says where it stands, as the page does.
document.addEventListener("input", (event) => {
  const said = document.getElementById("balanced");
  if (event.target.id === "balance" && said !== null) {
    const place = Number(event.target.value);
    said.textContent =
      place === 0 ? "by the words alone"
      : place === 100 ? "by the picture alone"
      : place === 50 ? "both alike"
      : `${100 - place} % words, ${place} % picture`;
  }
});

// The chips that were unfolded stay so when the results are replaced.
let unfolded = false;
document.addEventListener("htmx:beforeSwap", () => {
  const fields = document.querySelector(".fields");
  unfolded = fields !== null && fields.open;
});
document.addEventListener("htmx:afterSettle", () => {
  const fields = document.querySelector(".fields");
  if (fields !== null && unfolded) fields.open = true;
});

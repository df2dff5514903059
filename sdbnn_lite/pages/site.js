"use strict";
// What a page does beside being read: light or dark, contents, search, tables on a phone, zoom, predictions.
const find = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const root = document.documentElement;
root.classList.add("js");

function keep(name, value) { // returns what is kept under this name; null where a browser keeps nothing
    try {
        if (value !== undefined) localStorage.setItem(name, value);
        return localStorage.getItem(name);
    } catch { return value ?? null; }
}
root.dataset.theme = keep("theme") ?? ""; // before anything is drawn

function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
}

// The sections that hold every word, those with all words in their heading first: [page, id, title, text].
function search(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean), has = text => wanted.every(w => text.includes(w));
    const all = window.searchIndex.flatMap(([page, title, sections]) => sections.map(([id, name, text]) =>
        [page, id, name === title ? title : `${title} › ${name}`, text, has(name.toLowerCase())]
    )).filter(([, id, name, text]) => (id !== "main" || text) && wanted.length && has(`${name} ${text}`.toLowerCase()));
    return [...all.filter(found => found[4]), ...all.filter(found => !found[4])];
}

function showFound(words, list) {
    const first = words.toLowerCase().split(/\s+/)[0], found = window.searchIndex ? search(words) : [];
    list.replaceChildren(...found.slice(0, 20).map(([page, id, title, text]) => {
        const at = Math.max(text.toLowerCase().indexOf(first) - 50, 0);
        return make("li", {}, make("a", {href: `${page}#${id}`}, title), ` … ${text.slice(at, at + 140)} …`);
    }), ...words.trim() ? [make("li", {role: "status"}, `${found.length} sections found`)] : []);
}

function zoom(image) {
    const large = image.cloneNode(), dialog = make("dialog", {className: "zoom"}, make("button", {}, "Close"), large);
    for (const name of ["role", "tabindex"]) large.removeAttribute(name);
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); image.focus(); });
    document.body.append(dialog);
    dialog.showModal();
}

function answer(form, choice) {
    const {guess, answer} = form.dataset, right = choice === answer, labels = find("label", form);
    for (const fold of find(`details[data-guess="${CSS.escape(guess)}"]`)) fold.open = true;
    labels[choice].querySelector("input").checked = true;
    form.dataset.right = right;
    find("[role=status]", form)[0].textContent =
        right ? "✓ Right." : `✗ Not so: the answer is “${labels[answer].innerText.trim()}”.`;
    const forms = find("form.guess"), open = forms.filter(f => !f.dataset.right).length;
    find(".score")[0].textContent = `You predicted ${find("form.guess[data-right=true]").length} of ${forms.length}`
        + (open ? `; ${open} not answered yet.` : ".");
}

document.addEventListener("DOMContentLoaded", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)"), [field, theme, list] = find("#search, #theme, #found");
    const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    const label = () => theme.textContent = isDark() ? "Light" : "Dark";
    theme.addEventListener("click", () => {
        root.dataset.theme = keep("theme", isDark() ? "light" : "dark");
        label();
    });
    dark.addEventListener("change", label);
    label();
    if (matchMedia("(max-width: 68rem)").matches) find(".contents details")[0].open = false;
    field.addEventListener("input", () => showFound(field.value, list));
    field.addEventListener("focus", () => { // the index is large: only who searches loads it
        const script = make("script", {src: "search-index.js", onload: () => showFound(field.value, list)});
        if (!window.searchIndex) document.head.append(script);
    });
    for (const table of find("main table")) {
        const heads = find("thead th", table).map(head => head.innerText), cells = find("tbody td", table);
        if (cells.some(cell => cell.innerText.length > 60)) table.classList.add("stack"); // words; numbers scroll
        for (const cell of cells) cell.dataset.label = heads[cell.cellIndex] ?? "";
    }
    for (const formula of find("main :not(.equation) > math")) { // no browser breaks them
        const box = make("span", {className: "scroll equation"});
        if (formula.getBoundingClientRect().width < formula.closest("main").clientWidth - 80) continue;
        formula.replaceWith(box);
        box.append(formula);
    }
    for (const box of find(".scroll").filter(box => box.scrollWidth > box.clientWidth)) {
        box.classList.add("wide");
        box.tabIndex = 0; // arrow keys scroll it
    }
    for (const image of find("main img")) {
        Object.assign(image, {tabIndex: 0, role: "button", title: "Enlarge"});
        image.addEventListener("click", () => zoom(image));
        image.addEventListener("keydown", event => {
            if (event.key !== "Enter") return;
            event.preventDefault(); // else it also presses the button that closes
            zoom(image);
        });
    }
    for (const form of find("form.guess")) {
        const name = `${location.pathname} ${form.dataset.guess}`, kept = keep(name);
        form.addEventListener("change", event => answer(form, keep(name, event.target.value) ?? event.target.value));
        if (find("label", form)[kept]) answer(form, kept);
    }
});

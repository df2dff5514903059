"use strict";
// Explorers without a kernel: controls, presets, numbers and sentences are those of lessons/explorers/ (a browser test
// compares them). This file: what they share, and notebook 01's, without its simulation.
const explorers = {};

// As Python's f"{x:.1f}": a tie goes to the even digit.
function fixed(x, digits = 0) {
    const tie = x * 2 ** (digits + 1) % 1 === 0 && Math.abs(x * 10 ** digits % 1) === 0.5;
    return (tie ? 2 * Math.round(x * 10 ** digits / 2) / 10 ** digits : x).toFixed(digits);
}
const percent = (share, digits) => `${fixed(100 * share, digits)}%`;
const signed = x => (x < 0 ? "" : "+") + fixed(x, 2);
const count = values => values.reduce((sum, value) => sum + Number(value), 0);
const mean = values => count(values) / values.length;
const range = (n, f) => Array.from({length: n}, (_, i) => f(i));

const text = (x, y, words, anchor = "middle") => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;
const line = (x1, y1, x2, y2, dash = "none") =>
    `<path d="M${x1} ${y1} L${x2} ${y2}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="${dash}"/>`;
const PLUS = "#E69F00", MINUS = "#0072B2"; // as in the notebooks; +1 is also hatched
const bar = (x, width, base, height, plus) => (plus ? [PLUS, "url(#hatch)"] : [MINUS]).map(fill =>
    `<rect x="${x}" y="${base - height}" width="${width}" height="${height}" fill="${fill}"/>`).join("");
const picture = (title, below, inside, [width, height] = [128, 128], look = "") =>
    `<figure class="${look}"><figcaption>${title}</figcaption><svg viewBox="0 0 ${width} ${height}" aria-hidden="true">`
    + `<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6 L6 0" stroke="#222"/>`
    + `</pattern>${inside}</svg><small>${below}</small></figure>`;

explorers.sum_of_signs = {
    entropy: p => p <= 0 || p >= 1 ? 0 : -p * Math.log2(p) - (1 - p) * Math.log2(1 - p),
    compute({p, q, fan_in: n, threshold}) { // y = 2·B - n with B ~ Binomial(n, r)
        const r = p * q + (1 - p) * (1 - q), bias = (2 * p - 1) * (2 * q - 1), values = range(n + 1, k => 2 * k - n);
        const logs = [0], times = (k, share) => k && k * Math.log(share); // of factorials; 0·log 0 = 0
        for (let i = 1; i <= n; i++) logs.push(logs[i - 1] + Math.log(i));
        const probability = range(n + 1, k =>
            Math.exp(logs[n] - logs[k] - logs[n - k] + times(k, r) + times(n - k, 1 - r)));
        const plus = Math.min(count(probability.filter((_, k) => values[k] >= threshold)), 1);
        return {p, q, fan_in: n, threshold, values, probability, mean: n * bias, variance: n * (1 - bias ** 2), plus,
            entropy: this.entropy(plus)};
    },
    say(s) {
        const n = s.fan_in, minus = number => String(number).replace("-", "−"), least = Math.min(s.plus, 1 - s.plus);
        const verdict = s.threshold <= -n || s.threshold > n
            ? `The sum lies between −${n} and ${n}, so every output is ${s.threshold > 0 ? "−1" : "+1"}: the channel is dead.`
            : least < 0.02 ? "Nearly every output has the same sign: the channel says almost nothing."
            : least > 0.4 ? "The two signs are about equally frequent." : "One sign is more frequent than the other.";
        return `Of ${n} product${n > 1 ? "s" : ""} with p = ${fixed(s.p, 2)} and q = ${fixed(s.q, 2)} the sum has mean `
            + `${minus(fixed(s.mean + 0, 1))} and standard deviation ${fixed(Math.sqrt(s.variance), 1)}. It reaches the `
            + `threshold ${minus(s.threshold)} in ${percent(s.plus, 1)} of all cases: the output sign carries `
            + `${fixed(s.entropy, 2)} bit. ${verdict}`;
    },
    draw(s) {
        const top = Math.max(...s.probability), seen = s.values.filter((_, k) => s.probability[k] > top * 1e-4);
        const low = Math.min(seen[0], s.threshold) - 2, high = Math.max(seen.at(-1), s.threshold) + 2;
        const x = y => 10 + 300 * (y - low) / (high - low), width = Math.max(x(2) - x(0), 1) * 0.9;
        const bars = seen.map(y => bar(x(y) - width / 2, width, 170, 140 * s.probability[(y + s.fan_in) / 2] / top,
            y >= s.threshold)).join("");
        const curve = range(101, i => `${30 + 2.6 * i} ${170 - 140 * this.entropy(i / 100)}`).join(" L");
        return picture("The sum y and its threshold", "hatched: the output is +1; dashed: the threshold θ", bars
            + line(x(s.threshold), 20, x(s.threshold), 170, "5 3") + line(5, 170, 315, 170)
            + text(x(s.threshold), 14, `θ = ${s.threshold}`)
            + [low + 2, high - 2].map(y => text(x(y), 186, y)).join(""), [320, 195], "plot")
            + picture("What the sign says", "entropy of the sign [bit] by share of outputs that are +1",
                `<path d="M${curve}" fill="none" stroke="currentColor" stroke-width="2"/>` + line(30, 170, 290, 170)
                + `<circle cx="${30 + 260 * s.plus}" cy="${170 - 140 * s.entropy}" r="6" fill="#d55e00"/>`
                + [0, 0.5, 1].map(v => text(30 + 260 * v, 186, v) + text(24, 174 - 140 * v, v, "end")).join(""),
                [320, 195], "plot");
    },
};

function mount(box) {
    const explorer = explorers[box.dataset.explorer], {controls, presets} = window.explorerData[box.dataset.explorer];
    const own = "my own values", named = ({label, unit}) => unit ? `${label} [${unit}]` : label;
    const slider = c => `<label><span>${named(c)}</span><input type="range" name="${c.name}" min="${c.min}" `
        + `max="${c.max}" step="${c.step}" value="${c.value}"><span aria-hidden="true"></span></label>`;
    const choice = (c, [label, value]) => `<label><input type="radio" name="${c.name}" value="${value}" `
        + `${value === c.value ? "checked" : ""}> ${label}</label>`;
    const row = c => !c.choices ? slider(c)
        : `<fieldset><legend>${named(c)}</legend>${c.choices.map(pair => choice(c, pair)).join("")}</fieldset>`;
    const options = [own, ...Object.keys(presets)].map(name => `<option>${name}</option>`).join("");
    box.innerHTML = `<form><label><span>preset</span><select name="preset">${options}</select></label>`
        + `${controls.map(row).join("")}</form><div class="pictures"><span></span></div><p role="status"></p>`;
    const inputs = box.querySelector("form").elements, drawn = box.querySelector(".pictures span");
    function update() {
        const values = Object.fromEntries(controls.map(c =>
            [c.name, c.choices ? inputs[c.name].value : Number(inputs[c.name].value)]));
        for (const c of controls) if (!c.choices) inputs[c.name].nextElementSibling.textContent = values[c.name];
        inputs.preset.value = Object.keys(presets).find(name =>
            Object.entries(presets[name]).every(([key, value]) => values[key] === value)) ?? own;
        const stats = explorer.compute(values);
        drawn.innerHTML = explorer.draw(stats);
        box.querySelector("[role=status]").textContent = explorer.say(stats);
    }
    explorer.begin?.(box, update);
    box.querySelector("form").addEventListener("input", ({target}) => {
        const preset = target.name === "preset" && presets[target.value] || {};
        for (const [name, value] of Object.entries(preset)) inputs[name].value = value;
        update();
    });
    update();
}

document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll(".explorer")) if (box.dataset.explorer in explorers) mount(box);
});

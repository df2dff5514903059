"use strict";
// Notebook 02's explorer, and a digit that one draws oneself: the network digits_asd up to its third layer, in 64 bits.
const net = window.explorerData.network;
for (const layer of [net.conv2, net.conv3]) layer.weight = [...layer.weight].map(sign => 2 * sign - 1); // "0" and "1"

// One filter of a 3×3 convolution with zero padding: x (C, S, S) and weights (C, 3, 3), flat.
function convolve(x, size, weights) {
    return range(size * size, at => {
        const top = Math.floor(at / size) - 1, left = at % size - 1;
        let y = 0;
        for (let w = 0; w < weights.length; w++) {
            const row = top + Math.floor(w % 9 / 3), column = left + w % 3;
            if (row >= 0 && row < size && column >= 0 && column < size)
                y += weights[w] * x[(Math.floor(w / 9) * size + row) * size + column];
        }
        return y;
    });
}

// One filter's output of a binary layer: a (C, S, S), a shift for each channel.
function output({weight}, a, shift, filter) {
    const size = a.length / shift.length, n = 9 * shift.length;
    const signs = a.map((v, i) => v + shift[Math.floor(i / size)] >= 0 ? 1 : -1);
    return convolve(signs, Math.sqrt(size), weight.slice(n * filter, n * (filter + 1)));
}

function asdShift({squeeze, expand}, a) { // σ(W2 · relu(W1 · mean(a)))
    const size = a.length / expand.length, means = expand.map((_, c) => mean(a.slice(c * size, (c + 1) * size)));
    const dot = (weights, x) => count(weights.map((w, i) => w * x[i]));
    const hidden = squeeze.map(weights => Math.max(dot(weights, means), 0));
    return expand.map(weights => 1 / (1 + Math.exp(-dot(weights, hidden))));
}

// Batch norm and Hardtanh.
const normalised = ({scale, offset}, filter, y) =>
    y.map(v => Math.min(Math.max(scale[filter] * v + offset[filter], -1), 1));

// What a binary layer receives for 64 levels of ink: (C, S, S).
function layerInput(name, levels) {
    const {inputs, conv1, conv2} = net, x = levels.map(level => inputs[level]);
    const a = conv1.weight.flatMap((weights, filter) => normalised(conv1, filter, convolve(x, 8, weights)));
    if (name === "conv2") return a;
    const shift = asdShift(conv2, a);
    return conv2.scale.flatMap((_, filter) => {
        const y = output(conv2, a, shift, filter), corners = range(16, i => 16 * Math.floor(i / 4) + 2 * (i % 4));
        return normalised(conv2, filter, corners.map(at => Math.max(y[at], y[at + 1], y[at + 8], y[at + 9])));
    });
}

const square = fill => `<rect width="1" height="1" fill="${fill}"/>`;
const grey = share => square(`rgb(${Array(3).fill(255 * share)})`);
const sign = (plus, flipped) => square(plus ? PLUS : MINUS)
    + `<g fill="none" stroke-width=".1" stroke="${plus ? "#222" : "#fff"}">`
    + `<path d="M.3 .5H.7${plus ? "M.5 .3V.7" : ""}"/>${flipped ? '<circle cx=".5" cy=".5" r=".38"/>' : ""}</g>`;

function grid(title, below, values, cell) {
    const n = Math.sqrt(values.length), place = i => `translate(${i % n} ${Math.floor(i / n)})`;
    const cells = values.map((value, i) => `<g transform="${place(i)}">${cell(value, i)}</g>`);
    return picture(title, below, cells.join(""), [n, n]);
}

function signGrid(title, before, after) {
    const flipped = after.map((plus, i) => plus !== before[i]);
    return grid(`${title}: ${percent(mean(after))} are +1`, `${count(flipped)} flipped (rings)`, after,
        (plus, i) => sign(plus, flipped[i]));
}

function histogram({a, after, usual, shift}) { // 21 bins from -1.05 to 1.05, stacked by sign
    const bins = a.map(v => Math.min(Math.floor((v + 1.05) / 0.1), 20)), left = bin => 5.2 + 5.6 * bin;
    const share = (bin, plus) => count(bins.map((b, i) => b === bin && after[i] === plus)) / a.length;
    const top = Math.max(...usual, ...range(21, bin => share(bin, true) + share(bin, false))) / 100;
    const bars = range(21, bin => {
        const [minus, plus] = [share(bin, false) / top, share(bin, true) / top];
        return bar(left(bin), 5.6, 110, minus, false) + bar(left(bin), 5.6, 110 - minus, plus, true);
    });
    const outline = usual.map((v, bin) => `${left(bin)} ${110 - v / top} h5.6`).join(" L"), x = v => 64 + 56 * v;
    return picture(`before the sign: shift ${signed(shift)}`, "dashed: threshold; dotted: all images", bars.join("")
        + `<path d="M${outline}" fill="none" stroke="currentColor" stroke-dasharray="1 2"/>`
        + line(x(-shift), 4, x(-shift), 110, "5 3") + [-1, 0, 1].map(v => text(x(v), 123, v)).join(""));
}

explorers.activation_shift = {
    drawn: null, // the reader's own digit: 64 levels of ink, 0 to 16
    levels(image) { return this.drawn ?? [...net.images[image]].map(letter => letter.charCodeAt() - 97); },
    compute({image, layer: name, channel: wanted, filter, mode, own_shift}) {
        const layer = net[name], levels = this.levels(image), every = layerInput(name, levels);
        const nothing = layer.expand.map(() => 0), size = every.length / nothing.length;
        const channel = Math.min(wanted, nothing.length - 1), note = channel < wanted ? `Layer ${name} has `
            + `${nothing.length} input channels, so channel ${channel} is shown instead of ${wanted}. ` : "";
        const shift = {asd: asdShift(layer, every), off: nothing, own: nothing.map(() => own_shift)}[mode];
        const a = every.slice(channel * size, (channel + 1) * size), plus = y => y >= 0;
        return {image, levels, layer: name, channel, filter, mode, note, a, shift: shift[channel],
            usual: layer.usual[channel].map((n, _, all) => n / count(all)),
            before: a.map(plus), after: a.map(v => plus(v + shift[channel])),
            output_before: output(layer, every, nothing, filter).map(plus),
            output_after: output(layer, every, shift, filter).map(plus)};
    },
    say(s) {
        const how = {asd: "ASD on", off: "ASD off", own: "my own shift for every channel"}[s.mode];
        const flips = s.after.map((plus, i) => plus - s.before[i]);
        const share = plus => percent(mean(plus)), [up, down] = [1, -1].map(by => count(flips.map(f => f === by)));
        return `${s.note}${this.drawn ? "Your own digit" : `Image ${s.image} (a ${net.labels[s.image]})`}, layer `
            + `${s.layer}, channel ${s.channel}, ${how}: the shift is ${signed(s.shift)}, so a sign is +1 from a = `
            + `${fixed(0 - s.shift, 2)} up. It flips ${up} of ${s.a.length} signs to +1 and ${down} to -1: `
            + `${share(s.before)} were +1, now ${share(s.after)} are. ${count(s.a.map(v => v === -1))} of the `
            + `activations sit at exactly -1. Of the outputs of filter ${s.filter}, ${share(s.output_after)} are +1 `
            + `(${share(s.output_before)} without a shift).`;
    },
    draw(s) {
        this.pad.forEach((pixel, i) => {
            pixel.style.background = `rgb(${Array(3).fill(255 - 15.9 * s.levels[i])})`;
            pixel.ariaPressed = s.levels[i] > 0;
        });
        return grid(`activations a, channel ${s.channel}`, "black −1, white +1", s.a, v => grey((v + 1) / 2))
            + histogram(s) + signGrid("its signs", s.before, s.after)
            + signGrid(`output, filter ${s.filter}`, s.output_before, s.output_after);
    },
    // The image is 8×8 buttons: whoever presses one begins a digit of their own.
    begin(box, update) {
        const pixels = range(64, i => `<button type="button" tabindex="${i ? -1 : 0}" aria-label="row `
            + `${Math.floor(i / 8) + 1}, column ${i % 8 + 1}"></button>`).join("");
        box.querySelector(".pictures").insertAdjacentHTML("afterbegin",
            `<figure class="own"><figcaption>image: draw in it</figcaption><div class="pad" role="group" aria-label="`
            + `Draw a digit: arrow keys move, Space draws">${pixels}</div><button type="button">Clear</button></figure>`);
        this.pad = [...box.querySelectorAll(".pad button")];
        const figure = box.querySelector(".own"), {image} = box.querySelector("form").elements;
        const set = levels => { this.drawn = levels; update(); };
        const ink = (at, level) => set(this.levels(image.value).with(at, level));
        const other = at => this.levels(image.value)[at] ? 0 : 16;
        let level = 16; // what the pointer leaves behind
        const stroke = (event, first) => {
            const at = this.pad.indexOf(document.elementFromPoint(event.clientX, event.clientY));
            if (at >= 0 && first) level = other(at);
            if (at >= 0 && event.buttons) ink(at, level);
        };
        figure.addEventListener("pointerdown", event => stroke(event, true));
        figure.addEventListener("pointermove", event => stroke(event, false));
        figure.addEventListener("keydown", event => {
            const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8, " ": 0}[event.key];
            const at = this.pad.indexOf(event.target);
            if (at < 0 || step === undefined) return;
            event.preventDefault();
            if (step) this.pad[at + step]?.focus(); else ink(at, other(at));
        });
        figure.lastChild.addEventListener("click", () => set(Array(64).fill(0)));
        image.addEventListener("input", () => { this.drawn = null; });
    },
};

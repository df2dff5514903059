"use strict";
// Notebook 02's explorer, and a digit that one draws oneself: the network digits_asd up to its third layer, in 64 bits.

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

// The signs' convolution: a (C, S, S), a shift for each channel.
function output(layer, a, shift, filter) {
    const signs = a.map((v, i) => v + shift[Math.floor(i * shift.length / a.length)] >= 0 ? 1 : -1), n = 9 * shift.length;
    return convolve(signs, Math.sqrt(a.length / shift.length), layer.weight.slice(n * filter, n * (filter + 1)));
}

function asdShift({squeeze, expand}, a) { // σ(W2 · relu(W1 · mean(a)))
    const size = a.length / expand.length, means = expand.map((_, c) => mean(a.slice(c * size, (c + 1) * size)));
    const dot = (weights, x) => count(weights.map((w, i) => w * x[i]));
    const hidden = squeeze.map(weights => Math.max(dot(weights, means), 0));
    return expand.map(weights => 1 / (1 + Math.exp(-dot(weights, hidden))));
}

explorers.activation_shift = {
    drawn: null, // the reader's own digit: 64 levels of ink, 0 to 16
    get net() {
        const net = window.explorerData.network;
        for (const name of ["conv2", "conv3"]) // "1" and "0" stand for the signs
            if (typeof net[name].weight === "string") net[name].weight = [...net[name].weight].map(sign => 2 * sign - 1);
        return net;
    },
    levels(image) { return this.drawn ?? [...this.net.images[image]].map(letter => letter.charCodeAt() - 97); },
    // What a binary layer receives, (C, S, S).
    input(layer, levels) {
        const {inputs, conv1, conv2} = this.net, x = levels.map(level => inputs[level]);
        const normalised = ({scale, offset}, filter, y) =>
            y.map(value => Math.min(Math.max(scale[filter] * value + offset[filter], -1), 1)); // and Hardtanh
        const a = conv1.weight.flatMap((weights, filter) => normalised(conv1, filter, convolve(x, 8, weights)));
        if (layer === "conv2") return a;
        const shift = asdShift(conv2, a);
        return conv2.scale.flatMap((_, filter) => {
            const y = output(conv2, a, shift, filter);
            const pooled = range(16, i => 16 * Math.floor(i / 4) + 2 * (i % 4)).map(at => Math.max(y[at], y[at + 1], y[at + 8], y[at + 9]));
            return normalised(conv2, filter, pooled);
        });
    },
    compute({image, layer: name, channel, filter, mode, own_shift}) {
        const layer = this.net[name], levels = this.levels(image), every = this.input(name, levels), last = layer.expand.length - 1;
        const note = channel > last ? `Layer ${name} has ${last + 1} input channels, so channel ${last} is shown instead of ${channel}. ` : "";
        channel = Math.min(channel, last);
        const nothing = layer.expand.map(() => 0), size = every.length / nothing.length;
        const shift = {asd: asdShift(layer, every), off: nothing, own: nothing.map(() => own_shift)}[mode];
        const a = every.slice(channel * size, (channel + 1) * size), signs = shift => output(layer, every, shift, filter).map(y => y >= 0);
        return {image, shown: this.drawn ? "Your own digit" : `Image ${image} (a ${this.net.labels[image]})`, levels, layer: name, channel, filter, mode,
            shift: shift[channel], a, usual: layer.usual[channel].map((n, _, all) => n / count(all)), note,
            before: a.map(v => v >= 0), after: a.map(v => v + shift[channel] >= 0),
            output_before: signs(nothing), output_after: signs(shift)};
    },
    say(s) {
        const how = {asd: "ASD on", off: "ASD off", own: "my own shift for every channel"}[s.mode];
        const flips = s.after.map((plus, i) => plus - s.before[i]), up = count(flips.filter(f => f > 0)), down = -count(flips.filter(f => f < 0));
        return `${s.note}${s.shown}, layer ${s.layer}, channel ${s.channel}, ${how}: the shift is `
            + `${signed(s.shift)}, so a sign is +1 from a = ${fixed(0 - s.shift, 2)} up. It flips ${up} of ${s.a.length} `
            + `signs to +1 and ${down} to -1: ${percent(mean(s.before))} were +1, now ${percent(mean(s.after))} are. `
            + `${s.a.filter(v => v === -1).length} of the activations sit at exactly -1. Of the outputs of filter ${s.filter}, `
            + `${percent(mean(s.output_after))} are +1 (${percent(mean(s.output_before))} without a shift).`;
    },
    draw(s) {
        this.pad.forEach((button, i) => {
            button.style.background = `rgb(${Array(3).fill(255 - 15.9 * s.levels[i])})`;
            button.ariaPressed = s.levels[i] > 0;
        });
        const cells = (values, inside) => values.map((value, i) => {
            const step = 128 / Math.sqrt(values.length), x = i * step % 128, y = Math.floor(i * step / 128) * step;
            return inside(value, i, x, y, step);
        }).join("");
        const square = (fill, x, y, step) => `<rect x="${x}" y="${y}" width="${step}" height="${step}" fill="${fill}"/>`;
        const signMap = (before, after) => cells(after, (plus, i, x, y, step) => square(plus ? PLUS : MINUS, x, y, step)
            + `<g transform="translate(${x + step / 2} ${y + step / 2})" stroke="${plus ? "#222" : "#fff"}" fill="none">`
            + `<path d="M-3 0 H3 ${plus ? "M0 -3 V3" : ""}"/>${plus === before[i] ? "" : '<circle r="6"/>'}</g>`);
        const flipped = (before, after) => `${count(after.map((plus, i) => plus !== before[i]))} flipped (rings)`;
        const share = plus => range(21, bin => mean(s.a.map((v, i) => s.after[i] === plus && bin === Math.min(Math.floor((v + 1.05) / 0.1), 20))));
        const [minus, plus] = [false, true].map(share), top = Math.max(...s.usual, ...minus.map((m, i) => m + plus[i])), x = v => 64 + 56 * v;
        const bars = range(21, i => bar(5.2 + 5.6 * i, 5.6, 110, 100 * minus[i] / top, false)
            + bar(5.2 + 5.6 * i, 5.6, 110 - 100 * minus[i] / top, 100 * plus[i] / top, true)).join("");
        const usual = s.usual.map((v, i) => `${5.2 + 5.6 * i} ${110 - 100 * v / top} h5.6`).join(" L");
        return picture(`activations a, channel ${s.channel}`, "black −1, white +1", cells(s.a, (v, i, x, y, step) =>
                square(`rgb(${Array(3).fill(127.5 * (v + 1))})`, x, y, step)))
            + picture(`before the sign: shift ${signed(s.shift)}`, "dashed: threshold; dotted: all images", bars
                + `<path d="M${usual}" fill="none" stroke="currentColor" stroke-dasharray="1 2"/>`
                + line(x(-s.shift), 4, x(-s.shift), 110, "5 3") + [-1, 0, 1].map(v => text(x(v), 123, v)).join(""))
            + picture(`its signs: ${percent(mean(s.after))} are +1`, flipped(s.before, s.after), signMap(s.before, s.after))
            + picture(`output, filter ${s.filter}: ${percent(mean(s.output_after))} are +1`,
                flipped(s.output_before, s.output_after), signMap(s.output_before, s.output_after));
    },
    // The image is 8×8 buttons: whoever presses one begins a digit of their own.
    begin(box, update) {
        const buttons = range(64, i => `<button type="button" tabindex="${i ? -1 : 0}" aria-label="row ${Math.floor(i / 8) + 1}, `
            + `column ${i % 8 + 1}"></button>`).join(""), figure = document.createElement("figure");
        figure.className = "own";
        figure.innerHTML = `<figcaption>image: draw in it</figcaption><div class="pad" role="group" aria-label="Draw a digit: arrow keys `
            + `move, Space draws">${buttons}</div><button type="button">Clear</button>`;
        box.querySelector(".pictures").prepend(figure);
        this.pad = [...figure.querySelectorAll(".pad button")];
        const form = box.querySelector("form"), image = form.elements.image;
        const set = (change) => { this.drawn = change(this.levels(image.value)); update(); };
        const ink = (at, level) => set(levels => levels.with(at, level));
        let level = null; // what the pointer leaves behind
        const stroke = ({clientX, clientY}) => {
            const at = this.pad.indexOf(document.elementFromPoint(clientX, clientY));
            if (at < 0) return;
            level ??= this.levels(image.value)[at] ? 0 : 16;
            if (this.levels(image.value)[at] !== level) ink(at, level);
        };
        figure.addEventListener("pointerdown", event => { level = null; stroke(event); });
        figure.addEventListener("pointermove", event => { if (event.buttons) stroke(event); });
        figure.addEventListener("keydown", event => {
            const at = this.pad.indexOf(document.activeElement), by = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8}[event.key];
            if (at < 0 || !(by || event.key === " ")) return;
            event.preventDefault();
            if (by) this.pad[at + by]?.focus(); else ink(at, this.levels(image.value)[at] ? 0 : 16);
        });
        figure.lastChild.addEventListener("click", () => set(levels => levels.map(() => 0)));
        image.addEventListener("input", () => { this.drawn = null; });
    },
};

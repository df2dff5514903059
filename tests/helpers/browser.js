// Functions for the page. An explorer's rows are the controls in it.
window.sdbnn = {
    panel: () => window.jupyterapp?.shell?.currentWidget,
    ready() {
        const context = this.panel()?.sessionContext, kernel = context?.session?.kernel;
        return Boolean(context?.isReady && kernel?.status === "idle" && kernel?.connectionStatus === "connected");
    },
    run() {
        this.watch();
        this.ran = null;
        jupyterapp.commands.execute("notebook:run-all-cells").then(ok => this.ran = [ok], e => this.ran = [String(e)]);
    },
    // Messages of widgets that the kernel hasn't answered yet. It may do so in a thread of their own (a subshell), so
    // waiting for an executed cell would not do.
    watch() {
        this.pending = new Set();
        this.panel().sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
            const kind = msg.header.msg_type;
            if (direction === "send" && kind === "comm_msg") this.pending.add(msg.header.msg_id);
            const idle = kind === "status" && msg.content.execution_state === "idle";
            if (idle) this.pending.delete(msg.parent_header.msg_id);
        });
    },
    // Settled: the kernel has answered every widget, and the page shows it.
    settle() {
        this.settled = false;
        const node = this.panel().node, begin = performance.now();
        let last = begin;
        const watch = new MutationObserver(() => last = performance.now());
        watch.observe(node, {subtree: true, childList: true, attributes: true, characterData: true});
        const tick = () => {
            const quiet = performance.now() - last > 100, images = [...node.querySelectorAll("img")];
            if (this.pending.size) last = performance.now();
            if (quiet && !this.pending.size && images.every(image => image.complete)) {
                watch.disconnect();
                this.settled = true;
            } else {
                setTimeout(tick, 20);
            }
        };
        tick();
    },
    explorers: () => [...document.querySelectorAll(".jp-OutputArea-output .sdbnn-explorer")],
    stops: row => [...row.querySelectorAll(".noUi-handle, select, button")],
    rows(i) { return [...this.explorers()[i].querySelectorAll(":scope > * > *")].filter(row => this.stops(row).length) },
    controls(i) {
        return this.rows(i).map(row => {
            const stop = this.stops(row)[0];
            const kind = stop.matches(".noUi-handle") ? "slider" : stop.matches("select") ? "list" : "buttons";
            const disabled = row.querySelector("[disabled]") !== null;
            return {label: row.querySelector(".widget-label")?.innerText ?? "", kind, disabled, ...this.value(row, kind)};
        });
    },
    value(row, kind) {
        if (kind === "slider") {
            const readout = row.querySelector(".widget-readout")?.innerText ?? "";
            return {value: row.querySelector(".noUi-handle").getAttribute("aria-valuetext"), readout, count: 1};
        }
        if (kind === "list") {
            const list = row.querySelector("select");
            return {value: list.value, readout: list.value, count: list.options.length};
        }
        const buttons = this.stops(row), on = buttons.findIndex(button => button.matches(".mod-active"));
        return {value: String(on), readout: buttons[on]?.innerText ?? "", count: buttons.length};
    },
    shown(i) {
        const box = this.explorers()[i], pictures = box.querySelectorAll("img");
        return {
            pictures: pictures.length,
            src: pictures[0]?.getAttribute("src") ?? "",
            alt: pictures[0]?.getAttribute("alt") ?? "",
            width: pictures[0]?.naturalWidth ?? 0,
            sentence: box.querySelector("[role=status]")?.innerText ?? "",
        };
    },
    // Where the focus is as seen from a control's first place for it (or its n-th): 0 there, -1 before, 1 behind.
    focus(i, row, n) {
        const target = this.stops(this.rows(i)[row])[n], here = document.activeElement;
        if (here === target) return 0;
        return here.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
    },
    errors: () => window.sdbnn.panel().content.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])
        .filter(output => output.output_type === "error").map(output => `${output.ename}: ${output.evalue}`),
};

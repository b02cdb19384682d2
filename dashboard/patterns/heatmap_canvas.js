const NO_COSINE = -32768, TICKS = 40, MARGIN = 46;
const WORDS = {
  jaccard: 'Jaccard', dice: 'Dice', overlap: 'overlap', phi: 'phi', decoder_cosine: 'decoder cosine',
  c_cosine: 'cosine of C', c_euclid: 'distance in C',
};

async function unpack(data) {
  const n = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + n)));
  const stream = new Blob([data.subarray(4 + n)]).stream().pipeThrough(new DecompressionStream('deflate'));
  const body = await new Response(stream).arrayBuffer(), cells = about.shape[0] * about.shape[1];
  return {
    about,
    both: new Uint32Array(body, 0, cells), level: new Uint16Array(body, 4 * cells, cells),
    decoder: new Int16Array(body, 6 * cells, cells), c: new Int16Array(body, 8 * cells, cells),
    pick: new Uint8Array(body, 10 * cells, cells),
  };
}

const number = (x) => {
  if (x === null || !Number.isFinite(x)) return 'not defined';
  const tiny = x !== 0 && Math.abs(x) < 1e-3;
  return x.toLocaleString('en', tiny ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 3 });
};
const count = (x) => x.toLocaleString('en');
const span = (a, b) => a === b ? count(a + 1) : `${count(a + 1)}–${count(b + 1)}`;

function colours(root, signed) {
  const name = signed ? '--st-chart-diverging-colors' : '--st-chart-sequential-colors';
  const given = getComputedStyle(root).getPropertyValue(name).split(',').map((c) => c.trim()).filter(Boolean);
  const stops = given.length > 1 ? given : ['#eaf1fe', '#0f2b66'];
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  pen.canvas.width = 256;
  const gradient = pen.createLinearGradient(0, 0, 256, 0);
  stops.forEach((stop, i) => gradient.addColorStop(i / (stops.length - 1), stop));
  pen.fillStyle = gradient;
  pen.fillRect(0, 0, 256, 1);
  return { stops, pixels: new Uint32Array(pen.getImageData(0, 0, 256, 1).data.buffer) };
}

function paint(root, map) {
  const { about, level } = map, [rows, columns] = about.shape, palette = colours(root, about.signed);
  const image = new ImageData(columns, rows), cells = new Uint32Array(image.data.buffer);
  const quiet = new Uint32Array(new Uint8ClampedArray([128, 128, 128, 120]).buffer)[0];
  const scale = 255 / ((about.strong - about.weak) || 1), per_level = scale * (about.most - about.least) / 65534;
  const first = scale * (about.least - about.weak) - per_level;  // colour = first + level * per_level, 0 to 255
  for (let i = 0; i < cells.length; i += 1) {
    cells[i] = level[i] ? palette.pixels[Math.min(255, Math.max(0, Math.round(first + level[i] * per_level)))] : quiet;
  }
  const picture = document.createElement('canvas');
  picture.width = columns;
  picture.height = rows;
  picture.getContext('2d').putImageData(image, 0, 0);
  return { picture, palette };
}

function pairAt(map, row, column) {
  const { about } = map, [rows, columns] = about.shape, at = row * columns + column;
  const r = Math.floor(row * about.rows.length / rows) + Math.floor(map.pick[at] / about.per_cell);
  const c = Math.floor(column * about.columns.length / columns) + map.pick[at] % about.per_cell;
  const both = map.both[at], a = about.rows_fire[r], b = about.columns_fire[c], n = about.units;
  const cosine = (x) => x[at] === NO_COSINE ? null : x[at] / 1000;
  const value = about.least + (map.level[at] - 1) / 65534 * (about.most - about.least);
  return {
    a: about.rows[r], b: about.columns[c], a_label: about.rows_label[r], b_label: about.columns_label[c],
    both, a_fires: a, b_fires: b, value: map.level[at] ? value : null,
    jaccard: both / (a + b - both), phi: (n * both - a * b) / Math.sqrt(a * (n - a) * b * (n - b)),
    decoder_cosine: cosine(map.decoder), c_cosine: cosine(map.c),
  };
}

function say(box, pair, map) {
  const line = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  if (!pair) {
    box.replaceChildren(line('p', map.about.idle, 'faded'));
    return;
  }
  const title = line('p', '', 'pair');
  [[pair.a, pair.a_label], [pair.b, pair.b_label]].forEach(([feature, label]) => {
    const one = line('span', '');
    one.append(line('b', `feature ${feature}`), ` ${label}`);
    title.append(one);
  });
  if (pair.a === pair.b) {
    box.replaceChildren(title, line('p', `a feature with itself; it fires ${count(pair.a_fires)} times`, 'faded'));
    return;
  }
  const list = document.createElement('dl'), { by } = map.about;
  const shown = ['jaccard', 'phi', 'decoder_cosine', 'c_cosine'];
  (shown.includes(by) ? shown : [by, ...shown]).forEach((name) => {
    const value = shown.includes(name) ? pair[name] : pair.value, kind = name === by ? 'drawn' : '';
    const absent = value === null ? { decoder_cosine: map.about.no_decoder, c_cosine: map.about.no_c }[name] : '';
    list.append(line('dt', WORDS[name], kind), line('dd', absent || number(value), kind));
  });
  const { a, b, both, a_fires, b_fires } = pair;
  const alone = `both fire ${count(both)} times; ${a} fires ${count(a_fires)} times, ${b} ${count(b_fires)}`;
  box.replaceChildren(title, list, line('p', alone, 'faded'));
}

export default async function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.map');
  if (!data?.length || !root) return;
  const turn = root.turn = (root.turn || 0) + 1;
  const map = await unpack(data);
  if (turn !== root.turn) return;
  const canvas = root.querySelector('canvas'), now = root.querySelector('.now'), bar = root.querySelector('.bar');
  const { about } = map, [rows, columns] = about.shape, { picture, palette } = paint(root, map);
  const [first_row, , first_column] = about.window, pen = canvas.getContext('2d');
  const ticks = Math.max(about.rows.length, about.columns.length) <= TICKS;
  let cursor = null, box = null, start = null, keyed = null;

  const layout = () => {
    const side = Math.floor(root.querySelector('.pic').clientWidth), ratio = window.devicePixelRatio || 1;
    canvas.style.width = canvas.style.height = `${side}px`;
    canvas.width = canvas.height = Math.round(side * ratio);
    const left = ticks ? MARGIN : 0;
    return { left, side: side - left, ratio };
  };
  let place = layout();
  const cellAt = (event) => {
    const frame = canvas.getBoundingClientRect();
    const part = (v, n) => Math.min(n - 1, Math.max(0, Math.floor((v - place.left) / place.side * n)));
    return [part(event.clientY - frame.top, rows), part(event.clientX - frame.left, columns)];
  };
  const ranges = (from, to) => {  // places in the whole map: first row, last row, first column, last column
    const span_of = (a, b, n, cells, first) => [
      first + Math.floor(Math.min(a, b) * n / cells), first + Math.floor((Math.max(a, b) + 1) * n / cells) - 1,
    ];
    return [...span_of(from[0], to[0], about.rows.length, rows, first_row),
            ...span_of(from[1], to[1], about.columns.length, columns, first_column)];
  };
  const outline = ([r0, r1, c0, c1], colour, dash) => {
    const y = (v) => place.left + place.side * (v - first_row) / about.rows.length;
    const x = (v) => place.left + place.side * (v - first_column) / about.columns.length;
    const grow = (from, to) => {  // at least 7 pixels, so that one cell of thousands can be seen
      const more = Math.max(0, 7 - (to - from)) / 2;
      return [from - more, to - from + 2 * more];
    };
    const [left, width] = grow(x(c0), x(c1 + 1)), [top, height] = grow(y(r0), y(r1 + 1));
    [[4, palette.back], [2, colour]].forEach(([thick, ink]) => {
      pen.lineWidth = thick;
      pen.strokeStyle = ink;
      pen.setLineDash(dash && thick === 2 ? [5, 4] : []);
      pen.strokeRect(left, top, width, height);
    });
    pen.setLineDash([]);
  };
  const draw = () => {
    const style = getComputedStyle(root);
    palette.back = style.getPropertyValue('--st-background-color') || '#fff';
    const ink = style.color;
    pen.setTransform(place.ratio, 0, 0, place.ratio, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, place.left, place.left, place.side, place.side);
    if (ticks) {
      pen.fillStyle = ink;
      const size = (n) => Math.min(12, Math.max(6, place.side / n - 1));
      about.rows.forEach((feature, i) => {
        pen.font = `${size(rows)}px ${style.fontFamily}`;
        pen.textAlign = 'right';
        pen.textBaseline = 'middle';
        pen.fillText(feature, place.left - 4, place.left + place.side * (i + 0.5) / rows);
      });
      about.columns.forEach((feature, i) => {
        pen.save();
        pen.font = `${size(columns)}px ${style.fontFamily}`;
        pen.translate(place.left + place.side * (i + 0.5) / columns, place.left - 4);
        pen.rotate(-Math.PI / 2);
        pen.textAlign = 'left';
        pen.fillText(feature, 0, 0);
        pen.restore();
      });
    }
    const [r0, r1, c0, c1] = about.window;
    const inside = (area) => area && area[1] >= r0 && area[0] < r1 && area[3] >= c0 && area[2] < c1;
    if (inside(about.box)) outline(about.box, ink, true);
    if (inside(about.mark)) outline(about.mark, style.getPropertyValue('--st-primary-color') || ink, false);
    if (box) outline(ranges(...box), ink, true);
    else if (cursor) outline(ranges(cursor, cursor), ink, false);
  };
  const point = (cell) => {
    cursor = cell;
    say(now, cell && pairAt(map, ...cell), map);
    draw();
  };
  const open = (cell) => {
    const pair = pairAt(map, ...cell);
    setTriggerValue('cell', [pair.a, pair.b]);
  };
  const choose = () => {
    const chosen = ranges(...box);
    box = null;
    setTriggerValue('box', chosen);
  };

  canvas.onpointerdown = (event) => {
    if (event.button || event.pointerType === 'touch') return;
    canvas.setPointerCapture(event.pointerId);
    start = { cell: cellAt(event), x: event.clientX, y: event.clientY };
  };
  canvas.onpointermove = (event) => {
    const cell = cellAt(event);
    box = start && Math.hypot(event.clientX - start.x, event.clientY - start.y) > 4 ? [start.cell, cell] : null;
    point(cell);
  };
  canvas.onpointerup = (event) => {
    const dragged = box, began = start;
    start = null;
    if (dragged) choose();
    else if (began || event.pointerType === 'touch') { point(cellAt(event)); open(cellAt(event)); }
  };
  canvas.onpointercancel = () => { start = box = null; draw(); };
  canvas.onpointerleave = () => { if (!start) point(keyed && cursor ? keyed : null); };
  canvas.onkeydown = (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move) {
      const from = cursor || [Math.floor(rows / 2), Math.floor(columns / 2)];
      const fast = Math.max(1, Math.round(Math.max(rows, columns) / 100));
      const to = from.map((v, i) => Math.min([rows, columns][i] - 1, Math.max(0, v + (cursor ? fast * move[i] : 0))));
      box = event.shiftKey ? [box ? box[0] : from, to] : null;
      keyed = to;
      point(to);
    } else if (event.key === 'Enter' && box) choose();
    else if (event.key === 'Enter' && cursor) open(cursor);
    else if (event.key === 'Escape' && (box || cursor)) { box = keyed = null; point(null); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  canvas.onblur = () => { keyed = null; };
  canvas.setAttribute('aria-label', about.alt);
  bar.querySelector('i').style.background = `linear-gradient(to right, ${palette.stops.join(',')})`;
  const [weak, strong] = about.by === 'c_euclid' ? ['≥ ', ''] : [about.signed ? '≤ ' : '', '≥ '];
  bar.querySelector('.weak').textContent = weak + number(about.weak);
  bar.querySelector('.name').textContent = WORDS[about.by];
  bar.querySelector('.strong').textContent = strong + number(about.strong);
  const [r0, r1, c0, c1] = about.window, per = about.per_cell;
  const shown = `rows ${span(r0, r1 - 1)} and columns ${span(c0, c1 - 1)} of ${count(about.n)} features`;
  const many = `stands for up to ${per} x ${per} pairs and shows the strongest of them`;
  root.querySelector('.shown').textContent = `${shown}; a cell ${per > 1 ? many : 'is one pair'}`;
  say(now, null, map);
  draw();
  root.watch?.disconnect();
  root.watch = new ResizeObserver(() => { place = layout(); draw(); });
  root.watch.observe(root.querySelector('.pic'));
  canvas.dataset.drawn = about.id;
}

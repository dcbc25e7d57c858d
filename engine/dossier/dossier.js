"use strict";
// Verifies the proof bundle that this page carries. It does what moat_verify.py does for a bundle, in the same
// order and with the same words, and the rules stand in engine/audit/FORMAT.md. Nothing is loaded, so it is one
// file, and longer than Moat's files are wont to be.
const moat = (() => {
  const SEALED_EVERY = 256; // entries between two checkpoints, at most
  const OWN_ENTRIES = 256; // that a later command adds to the log of a killed run, at most
  const MAX_DEPTH = 64, MAX_DATA_DEPTH = 16;
  const TREE_KEYS = ["origin", "tree", "checkpoints", "keys", "installation"];
  const TIMESTAMP = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{0,8}[1-9])?Z$/;
  const TYPE_NAME = /^[a-z][a-z0-9_]*$/;
  const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;
  // The order in which the Go Moat hashes the fields of its entries, and then exports them sorted.
  const DECLARED = {
    console: "line",
    network: "method url status_code duration_ms credential_used error",
    credential: "name action host",
    secret: "name backend",
    ssh: "action host fingerprint error",
    container: "action privileged reason buildkit_enabled buildkit_container_id buildkit_network_id",
    exec: "command has_stdin exit_code",
    policy: "scope operation decision rule message",
  };

  class Unreadable extends Error {}
  class Fault extends Error {
    constructor(error, at = 0, kind = "TAMPERED") { super(error); this.at = at; this.kind = kind; }
  }
  const need = (condition, error, at = 0) => { if (!condition) throw new Fault(error, at); };
  const read = (condition, what) => { if (!condition) throw new Unreadable("this is not a proof bundle: " + what); };
  const caught = async (check) => {
    try { await check(); return null; } catch (error) { if (error instanceof Fault) return error; throw error; }
  };
  const worst = (faults) => faults.find((fault) => fault.kind === "TAMPERED") || faults[0] || null;

  // --- Bytes and hashes ----------------------------------------------------------------------------------

  const utf8 = (text) => new TextEncoder().encode(text);
  const join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  };
  const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
  const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);
  const u64 = (number) => {
    const raw = new Uint8Array(8);
    new DataView(raw.buffer).setBigUint64(0, BigInt(number));
    return raw;
  };
  // Standard base64 in its one spelling; null for any other.
  const base64 = (text) => {
    try {
      const found = atob(text);
      return btoa(found) === text ? Uint8Array.from(found, (char) => char.charCodeAt(0)) : null;
    } catch { return null; }
  };

  // FIPS 180-4. The browser's own is asynchronous, which costs more than it computes for so little.
  const K = new Uint32Array(64), H = new Uint32Array(8);
  for (let count = 0, candidate = 2; count < 64; candidate++) {
    let prime = true;
    for (let factor = 2; factor * factor <= candidate; factor++) if (candidate % factor === 0) prime = false;
    if (!prime) continue;
    if (count < 8) H[count] = fraction(candidate, 2);
    K[count++] = fraction(candidate, 3);
  }
  // The first 32 bits after the point of a root of `number`, in whole numbers.
  function fraction(number, degree) {
    const wanted = BigInt(number) << BigInt(32 * degree);
    let low = 0n, high = 1n << 40n;
    while (low + 1n < high) {
      const middle = (low + high) >> 1n;
      if (middle ** BigInt(degree) <= wanted) low = middle; else high = middle;
    }
    return Number(low & 0xffffffffn);
  }
  const W = new Uint32Array(64);
  function sha256(data) {
    const padded = new Uint8Array(((data.length + 72) >> 6) << 6);
    padded.set(data);
    padded[data.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(data.length / 0x20000000));
    view.setUint32(padded.length - 4, data.length << 3);
    const state = Uint32Array.from(H);
    for (let block = 0; block < padded.length; block += 64) {
      for (let i = 0; i < 16; i++) W[i] = view.getUint32(block + 4 * i);
      for (let i = 16; i < 64; i++) {
        const x = W[i - 15], y = W[i - 2];
        W[i] = (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)) + W[i - 16] + W[i - 7]
          + (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i++) {
        const t1 = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7)))
          + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
        const t2 = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10)))
          + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
      }
      [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] += word; });
    }
    const out = new Uint8Array(32), told = new DataView(out.buffer);
    state.forEach((word, i) => told.setUint32(4 * i, word));
    return out;
  }

  // SHAKE-256 (FIPS 202) of what fits into one block, as a seed and a number do. Lanes are two halves each.
  const RATE = 136;
  const ROUNDS = [], OFFSETS = [], LANES = [];
  {
    let x = 1, y = 0, bit = 1;
    for (let t = 0; t < 24; t++) {
      OFFSETS.push((((t + 1) * (t + 2)) / 2) % 64);
      [x, y] = [y, (2 * x + 3 * y) % 5];
      LANES.push(x + 5 * y);
      let low = 0, high = 0;
      for (let j = 0; j < 7; j++) {
        if (bit & 1) { const place = (1 << j) - 1; if (place < 32) low |= 1 << place; else high |= 1 << (place - 32); }
        bit = bit & 0x80 ? ((bit << 1) ^ 0x171) & 0xff : bit << 1;
      }
      ROUNDS.push([low, high]);
    }
  }
  function keccak(L, M) {
    const cl = new Int32Array(5), cm = new Int32Array(5);
    for (const [low, high] of ROUNDS) {
      for (let x = 0; x < 5; x++) {
        cl[x] = L[x] ^ L[x + 5] ^ L[x + 10] ^ L[x + 15] ^ L[x + 20];
        cm[x] = M[x] ^ M[x + 5] ^ M[x + 10] ^ M[x + 15] ^ M[x + 20];
      }
      for (let x = 0; x < 5; x++) {
        const n = (x + 1) % 5, p = (x + 4) % 5;
        const dl = cl[p] ^ ((cl[n] << 1) | (cm[n] >>> 31)), dm = cm[p] ^ ((cm[n] << 1) | (cl[n] >>> 31));
        for (let y = x; y < 25; y += 5) { L[y] ^= dl; M[y] ^= dm; }
      }
      let tl = L[1], tm = M[1];
      for (let t = 0; t < 24; t++) {
        const lane = LANES[t], sl = L[lane], sm = M[lane];
        const by = OFFSETS[t];
        const [al, am] = by < 32 ? [tl, tm] : [tm, tl];
        const r = by & 31;
        L[lane] = r ? (al << r) | (am >>> (32 - r)) : al;
        M[lane] = r ? (am << r) | (al >>> (32 - r)) : am;
        tl = sl; tm = sm;
      }
      for (let y = 0; y < 25; y += 5) {
        const l = L.slice(y, y + 5), m = M.slice(y, y + 5);
        for (let x = 0; x < 5; x++) {
          L[y + x] = l[x] ^ (~l[(x + 1) % 5] & l[(x + 2) % 5]);
          M[y + x] = m[x] ^ (~m[(x + 1) % 5] & m[(x + 2) % 5]);
        }
      }
      L[0] ^= low; M[0] ^= high;
    }
  }
  function shake256(data, length) {
    const block = new Uint8Array(RATE), L = new Int32Array(25), M = new Int32Array(25);
    block.set(data);
    block[data.length] ^= 0x1f;
    block[RATE - 1] ^= 0x80;
    const view = new DataView(block.buffer);
    for (let lane = 0; lane < RATE / 8; lane++) {
      L[lane] = view.getInt32(8 * lane, true);
      M[lane] = view.getInt32(8 * lane + 4, true);
    }
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += RATE) {
      keccak(L, M);
      for (let lane = 0; lane < RATE / 8; lane++) {
        view.setInt32(8 * lane, L[lane], true);
        view.setInt32(8 * lane + 4, M[lane], true);
      }
      out.set(block.subarray(0, Math.min(RATE, length - at)), at);
    }
    return out;
  }

  // --- JSON that means one thing to every reader ---------------------------------------------------------

  // A number that is no integer within reach; no text can be made from it. about: what it is roughly.
  class NotWhole { constructor(whole, about) { this.whole = whole; this.about = about; } }

  // Objects become Maps, which keep their order. Throws Unreadable: no JSON, a key given twice, too deep.
  function strictJson(text) {
    let at = 0;
    const bad = (why = "not JSON") => { throw new Unreadable("this is not a proof bundle: " + why); };
    const space = () => { while (at < text.length && " \t\n\r".includes(text[at])) at++; };
    const string = () => {
      const begin = at++;
      for (; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
      try { return JSON.parse(text.slice(begin, ++at)); } catch { return bad(); }
    };
    const value = (depth) => {
      space();
      const char = text[at];
      if (char === '"') return string();
      if (char === "{" || char === "[") {
        if (depth >= MAX_DEPTH) bad("nested too deeply");
        const isMap = char === "{", close = isMap ? "}" : "]", found = isMap ? new Map() : [];
        at++;
        space();
        if (text[at] === close) { at++; return found; }
        for (;;) {
          space();
          if (isMap) {
            if (text[at] !== '"') bad();
            const name = string();
            if (found.has(name)) bad("a key is given twice in one object");
            space();
            if (text[at++] !== ":") bad();
            found.set(name, value(depth + 1));
          } else found.push(value(depth + 1));
          space();
          const next = text[at++];
          if (next === close) return found;
          if (next !== ",") bad();
        }
      }
      for (const [word, meaning] of [["true", true], ["false", false], ["null", null]])
        if (text.startsWith(word, at)) { at += word.length; return meaning; }
      const number = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
      number.lastIndex = at;
      const found = number.exec(text);
      if (!found) bad();
      at += found[0].length;
      const whole = found[1] === undefined && found[2] === undefined && found[0].replace("-", "").length <= 19;
      const about = Number(found[0]) + 0;
      return whole && BigInt(found[0]) === BigInt(about) && Math.abs(about) <= 2 ** 53 ? about : new NotWhole(whole, about);
    };
    const found = value(0);
    space();
    if (at !== text.length) bad();
    return found;
  }

  const byCodePoint = (one, other) => {
    const a = Array.from(one), b = Array.from(other);
    for (let i = 0; i < Math.min(a.length, b.length); i++)
      if (a[i] !== b[i]) return a[i].codePointAt(0) - b[i].codePointAt(0);
    return a.length - b.length;
  };
  const GO = /[<>&\u2028\u2029]/g;
  const LONE = /\p{Surrogate}/u;
  class NoText extends Error {}
  function canonical(value, sort = true, depth = 0) {
    if (depth > MAX_DATA_DEPTH) throw new NoText();
    if (value === null || value === true || value === false) return String(value);
    if (typeof value === "number") return String(value);
    if (typeof value === "string") {
      if (LONE.test(value)) throw new NoText();
      return JSON.stringify(value).replace(GO, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"));
    }
    if (Array.isArray(value)) return "[" + value.map((item) => canonical(item, sort, depth + 1)).join(",") + "]";
    if (!(value instanceof Map)) throw new NoText();
    const names = [...value.keys()];
    if (sort) names.sort(byCodePoint);
    return "{" + names.map((n) => canonical(n) + ":" + canonical(value.get(n), sort, depth + 1)).join(",") + "}";
  }
  // The texts that an entry's data may have been hashed in; with a tree there is only one.
  function dataTexts(kind, data, tree) {
    const texts = [];
    try {
      if (!tree) texts.push(canonical(data, false));
      texts.push(canonical(data));
      const order = (Object.hasOwn(DECLARED, kind) ? DECLARED[kind] : "").split(" ");
      if (!tree && order[0] && [...data.keys()].every((name) => order.includes(name)))
        texts.push(canonical(new Map(order.filter((n) => data.has(n)).map((n) => [n, sorted(data.get(n))])), false));
    } catch (error) { if (!(error instanceof NoText)) throw error; }
    return texts;
  }
  const sorted = (value) => value instanceof Map
    ? new Map([...value.keys()].sort(byCodePoint).map((name) => [name, sorted(value.get(name))]))
    : Array.isArray(value) ? value.map(sorted) : value;

  // --- Merkle trees (RFC 9162, section 2.1) --------------------------------------------------------------

  const ZERO = Uint8Array.of(0), ONE = Uint8Array.of(1);
  const leafHash = (raw) => sha256(join(ZERO, raw));
  const nodeHash = (left, right) => sha256(join(ONE, left, right));
  const EMPTY_ROOT = sha256(new Uint8Array(0));
  function addLeaf(subtrees, size, leaf) {
    for (; size % 2 === 1; size = Math.floor(size / 2)) leaf = nodeHash(subtrees.pop(), leaf);
    subtrees.push(leaf);
  }
  const treeRoot = (subtrees) => subtrees.length ? subtrees.reduceRight((head, left) => nodeHash(left, head)) : EMPTY_ROOT;
  function included(leaf, index, size, proof, root) {
    if (index < 0 || index >= size) return false;
    let number = index, last = size - 1, head = leaf;
    for (const part of proof) {
      if (last === 0) return false;
      if (number % 2 === 1 || number === last) {
        head = nodeHash(part, head);
        while (number % 2 === 0 && number) { number = number / 2; last = Math.floor(last / 2); }
      } else head = nodeHash(head, part);
      number = Math.floor(number / 2);
      last = Math.floor(last / 2);
    }
    return last === 0 && same(head, root);
  }
  function entryLeaf(seed, seq, ts, kind, data) {
    const names = [...data.keys()].sort(byCodePoint);
    const stream = shake256(join(seed, u64(seq)), 16 * names.length);
    const committed = new Map(names.map((name, at) => {
      const text = canonical(new Map([[name, data.get(name)]]));
      return [name, hex(sha256(join(stream.subarray(16 * at, 16 * at + 16), utf8(text))))];
    }));
    return leafHash(utf8(canonical(new Map([["data", committed], ["seq", seq], ["ts", ts], ["type", kind]]))));
  }

  // --- Signatures, notes, certificates, checkpoints ------------------------------------------------------

  // Whether the browser can; null until it was asked. Without it signatures are taken as they are, and said so.
  let canSign = null;
  async function ed25519(publicKey, message, signature) {
    const subtle = globalThis.crypto && globalThis.crypto.subtle;
    if (canSign === null) {
      try {
        await subtle.importKey("raw", unhex("58" + "66".repeat(31)), { name: "Ed25519" }, false, ["verify"]);
        canSign = true;
      } catch { canSign = false; }
    }
    if (!canSign) return publicKey.length === 32 && signature.length === 64;
    try {
      const key = await subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
      return signature.length === 64 && await subtle.verify({ name: "Ed25519" }, key, signature, message);
    } catch { return false; }
  }

  const siteName = (key) => "moat/" + hex(sha256(key)).slice(0, 16);
  const keyId = (name, key) => sha256(join(utf8(name + "\n\x01"), key)).subarray(0, 4);
  const CONTROL = /[\x00-\x09\x0b-\x1f\x7f]/;
  const NAME = /^[^\s+]{1,200}$/;
  function parseNote(whole) {
    const gap = whole.lastIndexOf("\n\n");
    const tail = whole.slice(gap + 2);
    if (gap < 1 || !tail.endsWith("\n") || CONTROL.test(whole) || whole.length > 1000000 || LONE.test(whole)) return null;
    const lines = tail.slice(0, -1).split("\n"), signatures = [];
    if (lines.length > 100) return null;
    for (const line of lines) {
      const [name, ...rest] = line.slice(2).split(" ");
      const raw = base64(rest.join(" "));
      if (!line.startsWith("\u2014 ") || !NAME.test(name) || !raw || raw.length < 5) return null;
      signatures.push([name, raw.subarray(0, 4), raw.subarray(4)]);
    }
    return { text: whole.slice(0, gap + 1), signatures };
  }
  function certificate(whole, origin, number, what) {
    const note = parseNote(whole), lines = note ? note.text.split("\n") : [];
    const key = lines.length === 6 && lines[5] === "" ? base64(lines[2]) : null;
    const since = /^from (.*)$/.exec(lines[3] || "");
    need(key && key.length === 32 && since && NUMBER.test(since[1]) && /^key /.test(lines[1]) && TIMESTAMP.test(lines[4]),
      what + " is none");
    need(lines[0] === origin && lines[1] === "key " + number, what + " is that of another key");
    return { note, origin, number, key, size: Number(since[1]), ts: lines[4] };
  }
  // The numbers of those keys that signed. A signature that only seems to be one of theirs is a fault.
  async function signers(note, keys, what) {
    const found = [];
    for (const [name, which, signature] of note.signatures) {
      const key = keys.find((known) => known.origin === name && same(keyId(known.origin, known.key), which));
      if (!key) continue;
      need(!found.includes(key.number) && await ed25519(key.key, utf8(note.text), signature),
        what + " has a signature that is not valid");
      found.push(key.number);
    }
    return found.sort((a, b) => a - b);
  }
  const inUse = (keys, number, size) =>
    size >= keys[number].size && (number + 1 === keys.length || size <= keys[number + 1].size);
  function checkpoint(whole, what) {
    const note = parseNote(whole);
    const [origin, size, encoded, ...extensions] = note ? note.text.slice(0, -1).split("\n") : [];
    const root = encoded === undefined ? null : base64(encoded);
    need(root && root.length === 32 && NUMBER.test(size) && ![origin, ...extensions].includes(""), what + " is none");
    const closing = extensions.filter((line) => line.startsWith("closed ")).map((line) => line.slice(7));
    return { whole, note, origin, size: Number(size), root, closing, closed: closing.join(""), run: -1, site: -1 };
  }

  // The keys of a run and of its installation.
  async function trustOf(origin, certificates, installation) {
    const matched = /^(moat\/[0-9a-f]{16})\/[A-Za-z0-9._-]{1,100}$/.exec(origin);
    need(matched, "the log has no name that a run's log can have");
    const name = matched[1], first = installation.key;
    need(siteName(first) === name, "the log's name is that of another installation than its key");
    const site = [{ origin: name, number: 0, key: first, size: 0, ts: "" }], run = [];
    for (const [index, whole] of installation.keys.entries()) {
      const what = `the certificate of the installation's key ${index + 1}`, before = site[index];
      const key = certificate(whole, name, index + 1, what);
      need(key.size >= before.size && key.ts.slice(0, -1) >= before.ts.slice(0, -1), what + " begins before the one before it");
      need((await signers(key.note, [before], what)).length, what + " is not signed by the key before it");
      site.push(key);
    }
    need(certificates.length, "the log has no certificate of its run's key");
    let beganWith = 0;
    for (const [number, whole] of certificates.entries()) {
      const what = `the certificate of the run's key ${number}`;
      const key = certificate(whole, origin, number, what);
      if (number === 0) {
        const found = await signers(key.note, site, what);
        need(found.length && key.size === 0, what + " is not signed by a key of its installation");
        beganWith = found[found.length - 1];
        const later = site[beganWith + 1], then = key.ts.slice(0, -1);
        need(then >= site[beganWith].ts.slice(0, -1) && (!later || later.ts.slice(0, -1) >= then),
          `${what} is signed with the installation's key ${beganWith}, which was not in use at ${key.ts}`);
      } else {
        need(key.size >= run[number - 1].size, what + " begins before the one before it");
        need((await signers(key.note, [run[number - 1]], what)).length, what + " is not signed by the key before it");
      }
      run.push(key);
    }
    return { origin, name, site, run, beganWith };
  }
  // A checkpoint of the run whose signature holds.
  async function runCheckpoint(trust, whole) {
    const found = checkpoint(whole, "a checkpoint of the log");
    const what = `the checkpoint at size ${found.size}`;
    need(found.origin === trust.origin, what + " is that of another log");
    need(found.closing.length < 2 && ["", "exited", "stopped", "failed", "interrupted"].includes(found.closed)
      && (found.closing.length === 0 || found.closed), what + " closes the log in a way that there is not");
    const byRun = await signers(found.note, trust.run, what);
    if (byRun.length) {
      found.run = byRun[byRun.length - 1];
      found.key = trust.run[found.run].key;
      need(inUse(trust.run, found.run, found.size),
        `${what} is signed with the run's key ${found.run}, which was not in use at that size`);
      return found;
    }
    const bySite = await signers(found.note, trust.site, what);
    need(bySite.length, what + " is not signed by a key of this run");
    found.site = bySite[bySite.length - 1];
    found.key = trust.site[found.site].key;
    need(found.site >= trust.beganWith, what + " is signed with a key of the installation from before the run began");
    need(["", "interrupted"].includes(found.closed), what + " closes the log in a name that only the run's own key has");
    return found;
  }
  // What the installation's log says of the run, once its inclusion there is known.
  async function eventsOf(trust, certificates, installation) {
    const told = { size: 0, heads: [], close: "" };
    if (!installation.checkpoint) {
      need(!installation.events.length, "the installation's log is quoted without a checkpoint of it");
      return told;
    }
    const what = "the checkpoint of the installation's log";
    const head = checkpoint(installation.checkpoint, what);
    const by = await signers(head.note, trust.site, what);
    need(head.origin === trust.name && by.length, what + " is not signed by a key of the installation");
    const number = by[by.length - 1];
    need(inUse(trust.site, number, head.size), `${what} is signed with key ${number}, which was not in use at that size`);
    let started = false;
    for (const event of installation.events) {
      let body = null;
      try { body = strictJson(event.body); } catch (error) { if (!(error instanceof Unreadable)) throw error; }
      const proof = event.proof.map(base64);
      const is = (name, kind) => body instanceof Map && typeof body.get(name) === kind;
      need(is("event", "string") && is("seq", "number") && is("ts", "string") && TIMESTAMP.test(body.get("ts"))
        && is("run", "string") && (!body.has("note") || is("note", "string")) && !proof.includes(null),
        "an event of the installation's log is none");
      const seq = body.get("seq"), note = body.get("note") || "", kind = body.get("event");
      need(included(leafHash(utf8(event.body)), seq - 1, head.size, proof, head.root),
        `event ${seq} is not in the installation's log`);
      need(body.get("run") === trust.origin.slice(trust.origin.lastIndexOf("/") + 1)
        && ["start", "head", "close", "destroy"].includes(kind), "an event of the installation's log is none of this run's");
      if (kind === "start") {
        need(!started && note === certificates[0], "the installation's log has another certificate of the run's key 0");
        started = true;
      } else if (kind !== "destroy") {
        const found = await runCheckpoint(trust, note);
        if (kind === "close") {
          need(!told.close && found.closed, "the installation's log has a close record that is none");
          told.close = note;
        }
        told.heads.push(found);
      }
    }
    need(started, "the installation's log is quoted without the run's start");
    told.size = head.size;
    return told;
  }

  // --- Reading a bundle ----------------------------------------------------------------------------------

  const strings = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");
  const isSeq = (value) => typeof value === "number" || (value instanceof NotWhole && value.whole);
  const seqOf = (value) => value instanceof NotWhole ? value.about : value;
  function listed(document, name) {
    const found = document.get(name) ?? [];
    read(Array.isArray(found) && found.every((item) => item instanceof Map), name + " is no list of objects");
    return found;
  }
  function readBundle(text) {
    const document = strictJson(text);
    read(document instanceof Map && document.get("version") === 1, "another version");
    read(typeof document.get("last_hash") === "string" && typeof document.get("created_at") === "string" && document.has("entries"),
      "a part is missing or of another kind");
    const entries = listed(document, "entries");
    for (const entry of entries)
      read(isSeq(entry.get("seq")) && ["ts", "type", "prev", "hash"].every((name) => typeof entry.get(name) === "string")
        && entry.has("data"), "entries: a field is missing or of another kind");
    const found = { lastHash: document.get("last_hash"), entries, attestations: [], malformed: null, tree: false };
    for (const item of listed(document, "attestations")) {
      const texts = ["root_hash", "timestamp", "signature", "public_key"].map((name) => item.get(name));
      read(isSeq(item.get("seq")) && strings(texts), "attestations: a field is missing or of another kind");
      const seq = seqOf(item.get("seq")), digest = texts[0];
      const [signature, key] = texts.slice(2).map(base64);
      if (!signature || !key) found.malformed ||= new Fault(`invalid signature on attestation at seq ${seq}`, Math.max(seq, 0));
      else found.attestations.push({ seq, digest, signature, key });
    }
    found.rekor = listed(document, "rekor_proofs").length;
    found.anchors = listed(document, "anchors").length;
    found.tree = TREE_KEYS.some((name) => document.has(name));
    found.missing = TREE_KEYS.filter((name) => !document.has(name));
    if (!found.tree) return found;
    const part = (name, none) => document.has(name) ? document.get(name) : none;
    const tree = part("tree", new Map([["seed", ""]])), seed = tree instanceof Map ? tree.get("seed") : null;
    read(typeof seed === "string" && typeof part("origin", "") === "string" && strings(part("keys", []))
      && strings(part("checkpoints", [])), "a part of the tree is of another kind");
    const site = document.get("installation");
    if (!document.has("installation")) return found;
    read(site instanceof Map, "installation is missing or of another kind");
    const events = site.has("events") ? site.get("events") : [];
    const key = typeof site.get("key") === "string" ? base64(site.get("key")) : null;
    read(key && strings(site.get("keys")) && typeof (site.has("checkpoint") ? site.get("checkpoint") : "") === "string" && Array.isArray(events)
      && events.every((e) => e instanceof Map && typeof e.get("body") === "string" && strings(e.get("proof"))),
      "installation is missing or of another kind");
    return Object.assign(found, {
      seed, origin: document.get("origin"), keys: document.get("keys"), checkpoints: document.get("checkpoints"),
      installation: {
        key, keys: site.get("keys"), checkpoint: site.get("checkpoint") ?? "",
        events: events.map((event) => ({ body: event.get("body"), proof: event.get("proof") })),
      },
    });
  }

  // --- The verdict ---------------------------------------------------------------------------------------

  // pin: 32 bytes or null. finished: the run is known to be over. Throws Unreadable for what is no bundle.
  async function verify(text, pin = null, finished = false, progress = async () => {}) {
    const bundle = readBundle(text);
    const heads = [];
    let trust = null, events = { size: 0, heads: [], close: "" };
    const sealed = () => heads.length ? heads[heads.length - 1].size : 0;
    let treeFault = bundle.tree ? await caught(async () => {
      need(!bundle.missing.length, "only a part of what makes the tree is there: " + bundle.missing.join(", ") + " missing");
      need(/^[0-9a-f]{64}$/.test(bundle.seed), "the seed of the log's tree is none");
      try {
        trust = await trustOf(bundle.origin, bundle.keys, bundle.installation);
        for (const whole of bundle.checkpoints) {
          const found = await runCheckpoint(trust, whole);
          need(!heads.length || found.size > sealed(), `the checkpoint at size ${found.size} is out of order`);
          heads.push(found);
        }
        events = await eventsOf(trust, bundle.keys, bundle.installation);
      } catch (error) {
        throw error instanceof Fault ? new Fault(error.message, heads.length ? sealed() + 1 : 0) : error;
      }
    }) : null;
    const opened = bundle.tree && !treeFault;

    // The chain, and the leaves of a log with a tree, up to the first that is not as it should be.
    let count = 0, last = "", leafFault = null, latest = trust ? trust.run[0].ts.slice(0, -1) : "";
    const hashes = new Map(), roots = new Map([[0, EMPTY_ROOT]]), subtrees = [];
    const watch = new Set([...heads, ...events.heads].map((head) => head.size));
    const seed = trust ? unhex(bundle.seed) : null;
    const chainFault = await caught(async () => {
      for (const entry of bundle.entries) {
        const [ts, kind, prev, data] = ["ts", "type", "prev", "data"].map((name) => entry.get(name));
        const seq = seqOf(entry.get("seq"));
        if (seq !== count + 1)
          throw new Fault(`sequence gap: expected ${count + 1}, got ${seq}`, seq > 0 ? Math.min(seq, count + 1) : count + 1);
        need(prev === last, `broken chain at seq ${seq}: prev_hash mismatch`, seq);
        const texts = TIMESTAMP.test(ts) && TYPE_NAME.test(kind) && data instanceof Map ? dataTexts(kind, data, bundle.tree) : [];
        const head = u64(seq);
        need(texts.some((each) => hex(sha256(join(head, utf8(ts + kind + last + each)))) === entry.get("hash")),
          `invalid hash at seq ${seq}: entry tampered`, seq);
        count = seq;
        last = entry.get("hash");
        hashes.set(seq, last);
        if (seed && !leafFault) {
          if (ts.slice(0, -1) < latest) leafFault = new Fault(`the time of seq ${seq} lies before the one before it`, seq);
          latest = ts.slice(0, -1);
          addLeaf(subtrees, seq - 1, entryLeaf(seed, seq, ts, kind, data));
          if (watch.has(seq)) roots.set(seq, treeRoot(subtrees));
        }
        if (seq % 1000 === 0) await progress(seq, bundle.entries.length);
      }
    });

    if (bundle.tree && !chainFault) treeFault = leafFault || treeFault || worst([...treeFaults()]);
    const attestedFault = worst(await attestedFaults());

    function* compared(head, where, good) {
      const what = `the checkpoint at size ${head.size}${where}`;
      if (head.size > count)
        yield new Fault(`${what} says that there was more: the log ends at seq ${count}`, count + 1, "TRUNCATED");
      else if (!roots.has(head.size) || !same(roots.get(head.size), head.root))
        yield new Fault(`${what} was made over another log: changed from seq ${good + 1} on, or later`, good + 1);
    }
    function* treeFaults() {
      const unsealed = (from, to) => new Fault(`no checkpoint lies between seq ${from} and seq ${to}`, from + 1);
      let before = 0, byRun = 0, later = null;
      for (const [number, head] of heads.entries()) {
        if (head.size - before > SEALED_EVERY) yield unsealed(before, head.size);
        if (head.closed && (number + 1 < heads.length || count > head.size))
          yield new Fault("the log goes on after its close record", head.size + 1);
        if (head.run >= 0) {
          byRun = head.size;
          if (later !== null) yield new Fault("the run's own key sealed the log after a later command had", later + 1);
        } else {
          later ??= head.size;
          if (later - byRun > SEALED_EVERY || head.size - later > OWN_ENTRIES)
            yield new Fault(`seq ${byRun + 1} to ${head.size} are sealed by a later command, more than one can add`, byRun + 1);
        }
        before = head.size;
      }
      if (count - before > SEALED_EVERY) yield unsealed(before, count);
      let good = 0;
      for (const head of heads) { yield* compared(head, "", good); good = head.size; }
      for (const head of events.heads) yield* compared(head, " in the installation's log", 0);
      if (events.close && (!heads.length || events.close !== heads[heads.length - 1].whole))
        yield new Fault("the installation's log has a close record that the log has not", sealed() + 1,
          heads.length && heads[heads.length - 1].closed ? "TAMPERED" : "TRUNCATED");
      for (const key of trust.run) if (key.size > count)
        yield new Fault(`the run's key ${key.number} was made at size ${key.size}, but the log ends at seq ${count}`,
          count + 1, "TRUNCATED");
    }
    async function attestedFaults() {
      if (bundle.malformed) return [bundle.malformed];
      const faults = [], own = pin ? bundle.attestations.filter((a) => same(a.key, pin)) : [];
      for (const a of bundle.attestations) {
        const wrong = `invalid signature on attestation at seq ${a.seq}`;
        if (!/^[\x00-\x7f]*$/.test(a.digest) || !await ed25519(a.key, utf8(a.digest), a.signature))
          return [...faults, new Fault(wrong, a.seq)];
        if (!bundle.tree && own.length && !own.includes(a))
          faults.push(new Fault(wrong + ": not made with this installation's key", a.seq));
        if (!chainFault && a.seq > count)
          faults.push(new Fault(`last hash mismatch: an attestation covers seq ${a.seq}, but the log ends at seq ${count}`,
            count + 1, "TRUNCATED"));
        else if (!chainFault && hashes.get(a.seq) !== a.digest)
          faults.push(new Fault(`last hash mismatch: the attestation at seq ${a.seq} was made over another chain`, a.seq));
      }
      if (opened && !chainFault) for (const a of bundle.attestations) {
        const head = heads.find((each) => each.size === a.seq);
        if (!head || !same(head.key, a.key))
          faults.push(new Fault(`invalid signature on attestation at seq ${a.seq}: not by the key that sealed the log`,
            Math.min(a.seq, count + 1)));
      }
      return faults;
    }

    const faults = [treeFault, attestedFault].filter(Boolean);
    const short = faults.filter((fault) => fault.kind === "TRUNCATED"), changed = faults.filter((f) => f.kind === "TAMPERED");
    let chain = chainFault;
    if (!chain && bundle.lastHash !== last)
      chain = new Fault("last hash mismatch", short.length ? count + 1 : count, short.length ? "TRUNCATED" : "TAMPERED");
    if (!chain && !faults.length && !count && !bundle.tree)
      chain = new Fault("the log has no entries: it was emptied, or nothing was ever written to it");
    const signed = bundle.tree ? sealed() : Math.max(0, ...bundle.attestations.map((a) => a.seq));
    const closing = heads.length ? heads[heads.length - 1].closed : "";
    const closed = !chain && !faults.length && signed === count && Boolean(closing || !bundle.tree);
    if (finished && !chain && !faults.length && !closed)
      short.push(new Fault(bundle.tree ? `the run has ended, but its log has no close record: it ends at seq ${count}`
        : `last hash mismatch: no attestation covers the last entry, seq ${count}`, count + Number(bundle.tree), "TRUNCATED"));
    const fault = chainFault || changed[0] || chain || short[0] || null;
    const doubt = fault ? "" : doubtOf();
    function doubtOf() {
      if (canSign === false) return "this browser cannot verify Ed25519 signatures, so only its hashes were looked at";
      if (!pin) return "no pinned key vouches for it: anybody could have made it";
      if (!bundle.tree && !bundle.attestations.length) return "nothing in it is signed";
      const by = bundle.tree ? [trust.site[0].key] : bundle.attestations.map((a) => a.key);
      if (!by.every((key) => same(key, pin))) return "it is signed by another installation's key than the pinned one";
      return signed < count ? `nothing signed covers seq ${signed + 1} to ${count}` : "";
    }
    return {
      verdict: fault ? fault.kind : doubt ? "UNANCHORED" : closed ? "INTACT" : "OPEN",
      error: fault ? fault.message : doubt, at: fault ? fault.at : 0,
      entries: count, checkpoints: heads.length, tree: bundle.tree, sealed: signed, closed: closed ? closing : "",
      attestations: bundle.attestations.length, runKeys: trust ? trust.run.length : 0, installation: events.size,
      anchors: bundle.anchors, canSign: canSign !== false,
    };
  }

  // 32 bytes from hex, base64 or a verifier key line; null for anything else.
  function parseKey(text) {
    const given = text.trim();
    if (/^[0-9a-fA-F]{64}$/.test(given)) return unhex(given.toLowerCase());
    const line = /^[^\s+]+\+[0-9a-f]{8}\+(.+)$/.exec(given);
    const raw = base64(line ? line[1] : given);
    if (raw && line) return raw.length === 33 && raw[0] === 1 ? raw.subarray(1) : null;
    return raw && raw.length === 32 ? raw : null;
  }

  return { verify, parseKey, Unreadable, sha256, shake256, hex, utf8, strictJson, canonical };
})();

if (typeof module !== "undefined") module.exports = moat;

if (typeof document !== "undefined") {
  const at = (id) => document.getElementById(id);
  const bundle = () => at("bundle").textContent;
  const line = (text, kind = "") => {
    const made = document.createElement("p");
    made.textContent = text.replace(/[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]/g, "\ufffd");
    made.className = kind;
    return made;
  };
  const breath = () => new Promise((done) => setTimeout(done, 0));
  const verify = async () => {
    const button = at("verify"), given = at("key").value, pin = given.trim() ? moat.parseKey(given) : null;
    button.disabled = true;
    at("result").replaceChildren();
    try {
      if (given.trim() && !pin) {
        at("result").append(line("This is no public key: 64 hex digits, or base64 of 32 bytes.", "verdict bad"));
        return;
      }
      const found = await moat.verify(bundle(), pin, "finished" in at("bundle").dataset, async (done, total) => {
        at("progress").textContent = `${done} of ${total} entries`;
        await breath();
      });
      const kind = { INTACT: "ok", OPEN: "ok", UNANCHORED: "warn" }[found.verdict] || "bad";
      const where = found.at ? ` (from seq ${found.at})` : "";
      const words = { INTACT: "no tampering detected", OPEN: "no tampering detected so far; the log was not closed" };
      at("result").append(line(`${found.verdict} – ${words[found.verdict] || found.error + where}`, "verdict " + kind));
      if (kind !== "bad") {
        at("result").append(line(`hash chain: ${found.entries} entries, none missing, none altered`));
        if (found.tree) at("result").append(
          line(`Merkle tree: ${found.checkpoints} checkpoints up to seq ${found.sealed}${found.closed ? ", closed: " + found.closed : ""}`),
          line(`keys: ${found.runKeys} of the run, certified by the installation's`),
          line(found.installation ? `the installation's log of ${found.installation} events has this run` : "the installation's log is not quoted"));
        if (found.attestations) at("result").append(line(`signatures over the chain: ${found.attestations}`));
        if (found.anchors) at("result").append(line(`anchors: ${found.anchors}, not verified here`));
      }
      if (!found.canSign) at("result").append(line("Signatures were not verified: this browser has no Ed25519.", "warn"));
    } catch (error) {
      at("result").append(line(`TAMPERED – the bundle in this page cannot be read: ${error.message}`, "verdict bad"));
    } finally {
      at("progress").textContent = "";
      button.disabled = false;
    }
  };
  at("verify").addEventListener("click", verify);
  at("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bundle()], { type: "application/json" }));
    link.download = "proof.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  verify();
}

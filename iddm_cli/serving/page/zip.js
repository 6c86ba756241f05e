// An uncompressed zip archive (APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16).
"use strict";

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(content) {
  let rest = -1;
  for (const byte of content) rest = CRC[(rest ^ byte) & 255] ^ (rest >>> 8);
  return ~rest >>> 0;
}

function numbers(...pairs) {
  const out = [];
  for (const [value, size] of pairs) for (let k = 0; k < size; k++) out.push((value / 2 ** (8 * k)) & 255);
  return Uint8Array.from(out);
}

function zip(files) {
  const local = [];
  const central = [];
  let offset = 0;
  let listed = 0;
  for (const [name, content] of files) {
    const raw = new TextEncoder().encode(name);
    const common = [[20, 2], [0x0800, 2], [0, 2], [0, 2], [33, 2], [crc(content), 4], [content.length, 4], [content.length, 4], [raw.length, 2], [0, 2]];
    const head = numbers([0x04034b50, 4], ...common);
    const entry = numbers([0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]);
    local.push(head, raw, content);
    central.push(entry, raw);
    offset += head.length + raw.length + content.length;
    listed += entry.length + raw.length;
  }
  const end = numbers([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [listed, 4], [offset, 4], [0, 2]);
  return new Blob([...local, ...central, end], { type: "application/zip" });
}

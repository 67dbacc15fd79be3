//! What the parts cost, each alone: heads of HTTP, heads of frames, masks, UTF-8, compression, the slab.

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use gnezdo::http::{HeadLimits, HeadScanner, HeaderStorage, Request};
use gnezdo::slab::Slab;
use gnezdo::ws::{
    Compress, DeflateConfig, FrameHeader, Kind, Lengths, MaskKey, Message, Protocol, Utf8Validator,
    Workspace, examine, mask, mask_into, negotiate,
};

use support::{Loop, client_frame, filled};

const SIZES: [(&str, usize); 4] = [("20B", 20), ("1KiB", 1 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
const KEY: MaskKey = MaskKey([0x37, 0xFA, 0x21, 0x3D]);

fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20);
    group
}

/// A request as a browser sends it, found, parsed, and judged as an upgrade.
fn http(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = group(criterion, "http");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    group.bench_function("request/scan", |bencher| {
        bencher.iter(|| HeadScanner::new().scan(black_box(REQUEST), &limits).is_ok());
    });
    group.bench_function("request/parse", |bencher| {
        bencher.iter(|| {
            let mut storage = HeaderStorage::new();
            Request::parse(black_box(REQUEST), &mut storage, &limits).is_ok()
        });
    });
    group.bench_function("request/parse and examine", |bencher| {
        bencher.iter(|| {
            let mut storage = HeaderStorage::new();
            let request = Request::parse(black_box(REQUEST), &mut storage, &limits);
            request.is_ok_and(|request| examine(&request).is_ok_and(|upgrade| upgrade.is_some()))
        });
    });
}

fn frame_heads(criterion: &mut Criterion) {
    let mut group = group(criterion, "frame head");
    for (name, size) in SIZES {
        let header = FrameHeader { mask: Some(KEY), ..FrameHeader::message(Kind::Binary, size as u64) };
        let wire = client_frame(Kind::Binary, &vec![7; size]);
        group
            .bench_function(format!("encode/{name}"), |bencher| bencher.iter(|| black_box(&header).encode()));
        group.bench_function(format!("parse/{name}"), |bencher| {
            bencher.iter(|| FrameHeader::parse(black_box(&wire), Lengths::default()).is_ok());
        });
    }
}

/// At every offset from a cache line that a payload can have behind a frame's head.
fn masks(criterion: &mut Criterion) {
    let mut group = group(criterion, "mask");
    for (name, size) in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut bytes = vec![7; size + 128];
        let line = bytes.as_ptr().align_offset(64);
        for offset in [0, 1, 2, 4, 6, 8, 14, 31] {
            let payload = &mut bytes[line + offset..][..size];
            group.bench_function(format!("{name}/offset {offset}"), |bencher| {
                bencher.iter(|| mask(black_box(&mut *payload), KEY));
            });
        }
        let (source, mut target) = (vec![7; size], Vec::with_capacity(size));
        group.bench_function(format!("{name}/copy"), |bencher| {
            bencher.iter(|| {
                target.clear();
                mask_into(black_box(&mut target), &source, KEY);
            });
        });
    }
}

/// Characters of one to four bytes, whole and cut every 1,000 bytes, which is inside a character most of the time.
fn utf8(criterion: &mut Criterion) {
    let mut group = group(criterion, "utf8");
    for (width, alphabet) in [(1, "0123456789"), (2, "гнездо"), (3, "巣箱鳥"), (4, "🪺🐣")] {
        for (name, size) in [("20B", 20), ("1KiB", 1 << 10), ("64KiB", 64 << 10)] {
            let text = filled(alphabet, size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            for (how, piece) in [("whole", text.len()), ("split", 1_000)] {
                group.bench_function(format!("{width}-byte/{name}/{how}"), |bencher| {
                    bencher.iter(|| {
                        let mut validator = Utf8Validator::default();
                        let valid = black_box(&text).chunks(piece).all(|piece| validator.push(piece).is_ok());
                        valid && validator.finish().is_ok()
                    });
                });
            }
        }
    }
}

/// Messages of words, compressed by one end and inflated by the other.
fn deflate(criterion: &mut Criterion) {
    let config = DeflateConfig::default();
    let params = negotiate([&b"permessage-deflate"[..]], &config);
    let mut group = group(criterion, "deflate");
    for (name, size) in [("1KiB", 1 << 10), ("64KiB", 64 << 10)] {
        let text = filled("{\"station\":4711,\"nest\":\"occupied\",\"eggs\":4} ", size);
        group.throughput(Throughput::Bytes(text.len() as u64));
        for level in [1, 6] {
            let (mut protocol, mut space) = (Protocol::server(params), Workspace::default());
            space.set_compression(1, level);
            group.bench_function(format!("{name}/compress, level {level}"), |bencher| {
                bencher.iter(|| {
                    let sent = protocol.encode(Message::from(&text), Compress::Auto, &mut space);
                    sent.map(|sent| sent.payload.len()).ok()
                });
            });
        }
        let mut server = Loop::new(Protocol::server(params));
        // The answer goes out as it is, so that the time is that of inflating.
        server.space.set_compression(usize::MAX, 1);
        let wire = compressed(&text);
        group.bench_function(format!("{name}/inflate"), |bencher| {
            bencher.iter(|| {
                server.space.renew_inflate_budget();
                server.read(black_box(&wire));
            });
        });
    }
}

/// A message as a client sends it that has agreed on compression.
fn compressed(text: &[u8]) -> Vec<u8> {
    let params = negotiate([&b"permessage-deflate"[..]], &DeflateConfig::default());
    let (mut client, mut space) = (Protocol::client(params), Workspace::default());
    let filled: Result<(), ()> = space.keys().refill(|keys| {
        keys.fill(0x5A);
        Ok(())
    });
    let sent = client.encode(Message::from(text), Compress::Auto, &mut space);
    match (filled, sent) {
        (Ok(()), Ok(sent)) => [sent.head.as_bytes(), sent.payload].concat(),
        _ => Vec::new(),
    }
}

fn slab(criterion: &mut Criterion) {
    let mut group = group(criterion, "slab");
    for (name, count) in [("1,000", 1_000), ("100,000", 100_000)] {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..count).filter_map(|value: u64| slab.insert(value).ok()).collect();
        let mut order = keys.iter().cycle();
        group.bench_function(format!("{name}/get"), |bencher| {
            bencher.iter(|| order.next().and_then(|key| slab.get_mut(*key)).map(|value| *value += 1));
        });
        let stale = keys[0];
        slab.remove(stale);
        group.bench_function(format!("{name}/stale"), |bencher| {
            bencher.iter(|| slab.get(black_box(stale)).is_none());
        });
        group.bench_function(format!("{name}/insert and remove"), |bencher| {
            bencher.iter(|| slab.insert(7).ok().and_then(|key| slab.remove(key)));
        });
    }
}

const REQUEST: &[u8] = b"GET /chat?room=7 HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
Upgrade: websocket\r\nOrigin: https://example.org\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n\
Accept-Language: cs,en;q=0.9\r\nCookie: session=0123456789abcdef\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

criterion_group!(benches, http, frame_heads, masks, utf8, deflate, slab);
criterion_main!(benches);

//! What the codec costs per frame, without any I/O: the bytes of a read are copied in (the stand-in for the kernel), decoded,
//! and the head of an echo is made. One frame per read, and a full read of them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gnezdo::ws::{Compress, Event, FrameHeader, Kind, Limits, MaskKey, Protocol, Workspace, mask};

const READ: usize = 512 * 1024;

fn client_frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let key = MaskKey([0x37, 0xFA, 0x21, 0x3D]);
    let header = FrameHeader { mask: Some(key), ..FrameHeader::message(kind, payload.len() as u64) };
    let mut wire = header.encode().as_bytes().to_vec();
    let start = wire.len();
    wire.extend_from_slice(payload);
    mask(&mut wire[start..], key);
    wire
}

struct Loop {
    protocol: Protocol,
    space: Workspace,
    limits: Limits,
    buffer: Vec<u8>,
}

impl Loop {
    fn new() -> Loop {
        let limits = Limits { max_message: 1 << 24, max_frame: 1 << 24, ..Limits::default() };
        Loop { protocol: Protocol::server(None), space: Workspace::default(), limits, buffer: vec![0; READ] }
    }

    fn read(&mut self, wire: &[u8]) {
        self.buffer[..wire.len()].copy_from_slice(wire);
        let mut input = &mut self.buffer[..wire.len()];
        while let Some(event) = self.protocol.receive(&mut input, &mut self.space, &self.limits, 0) {
            if let Event::Message(payload) = event {
                let sent = self.protocol.encode(payload.message(), Compress::Auto, &mut self.space);
                black_box(sent.as_ref().map(|sent| (sent.head.as_bytes(), sent.payload)).ok());
                self.space.recycle(payload);
            }
        }
    }

    fn land(&mut self, wire: &[u8], step: usize) {
        for piece in wire.chunks(step) {
            let mut piece = piece;
            while !piece.is_empty() {
                let Some(place) = self.protocol.landing(&mut self.space) else {
                    self.read(piece);
                    break;
                };
                let count = place.len().min(piece.len());
                place[..count].copy_from_slice(&piece[..count]);
                piece = &piece[count..];
                if let Some(Event::Message(payload)) =
                    self.protocol.landed(count, &mut self.space, &self.limits, 0)
                {
                    black_box(payload.message().as_bytes());
                    self.space.recycle(payload);
                }
            }
        }
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    for (name, kind, fill) in [
        ("binary", Kind::Binary, "0123456789"),
        ("ascii", Kind::Text, "0123456789"),
        ("cyrillic", Kind::Text, "гнездо"),
    ] {
        for (size_name, size) in [("20B", 20), ("1KiB", 1024), ("64KiB", 65536)] {
            let payload: Vec<u8> = fill.bytes().cycle().take(size / fill.len() * fill.len()).collect();
            let frame = client_frame(kind, &payload);
            let mut single = Loop::new();
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{name}/{size_name}/one"), |bencher| {
                bencher.iter(|| single.read(&frame));
            });
            let count = (READ / frame.len()).min(512);
            let many = frame.repeat(count);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(format!("{name}/{size_name}/batch"), |bencher| {
                bencher.iter(|| single.read(&many));
            });
        }
    }
    let big = client_frame(Kind::Binary, &vec![7; 1 << 20]);
    let mut single = Loop::new();
    group.throughput(Throughput::Elements(1));
    group.bench_function("binary/1MiB/landing", |bencher| bencher.iter(|| single.land(&big, 128 * 1024)));
    let halves = client_frame(Kind::Binary, &[7; 1024]);
    let (front, back) = halves.split_at(500);
    group.bench_function("binary/1KiB/split", |bencher| {
        bencher.iter(|| {
            single.read(front);
            single.read(back);
        });
    });
    let ping = {
        let mut ping = client_frame(Kind::Binary, b"ping");
        ping[0] = 0x89;
        ping
    };
    let mut now = 0;
    group.bench_function("ping", |bencher| {
        bencher.iter(|| {
            now += 100;
            let mut wire = ping.clone();
            let mut input = wire.as_mut_slice();
            let event = single.protocol.receive(&mut input, &mut single.space, &single.limits, now);
            black_box(event.is_some())
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);

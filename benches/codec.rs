//! What the codec costs per frame, without any I/O: what a read has brought is decoded, and the heads of the echoes are made. One
//! frame per read, and a full read of them. To copy the bytes in stands for the kernel, and is not counted but where it says so.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gnezdo::ws::{Event, Kind, Protocol};

use support::{Loop, READ, client_frame, filled};

/// Receives straight into the place of a large message, in steps.
fn land(server: &mut Loop, wire: &[u8], step: usize) {
    for piece in wire.chunks(step) {
        let mut piece = piece;
        while !piece.is_empty() {
            let Some(place) = server.protocol.landing(&mut server.space) else {
                server.read(piece);
                break;
            };
            let count = place.len().min(piece.len());
            place[..count].copy_from_slice(&piece[..count]);
            piece = &piece[count..];
            if let Some(Event::Message(payload)) =
                server.protocol.landed(count, &mut server.space, &server.limits, 0)
            {
                black_box(payload.message().as_bytes());
                server.space.recycle(payload);
            }
        }
    }
}

/// How long it takes to answer all of `wire`, so many bytes a read.
fn answer(server: &mut Loop, wire: &[u8], read: usize) -> Duration {
    server.fill(wire);
    let began = Instant::now();
    for start in (0..wire.len()).step_by(read) {
        server.answer(start..start + read);
    }
    began.elapsed()
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
            let payload = filled(fill, size);
            let frame = client_frame(kind, &payload);
            let mut server = Loop::new(Protocol::server(None));
            let count = (READ / frame.len()).min(512);
            let many = frame.repeat(count);
            group.throughput(Throughput::Elements(count as u64));
            for (reads, read) in [("one", frame.len()), ("batch", many.len())] {
                group.bench_function(format!("{name}/{size_name}/{reads}"), |bencher| {
                    bencher.iter_custom(|times| (0..times).map(|_| answer(&mut server, &many, read)).sum());
                });
            }
        }
    }
    let big = client_frame(Kind::Binary, &vec![7; 1 << 20]);
    let mut single = Loop::new(Protocol::server(None));
    group.throughput(Throughput::Elements(1));
    group.bench_function("binary/1MiB/landing, copied", |bencher| {
        bencher.iter(|| land(&mut single, &big, 128 * 1024));
    });
    let halves = client_frame(Kind::Binary, &[7; 1024]);
    let (front, back) = halves.split_at(500);
    group.bench_function("binary/1KiB/split, copied", |bencher| {
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

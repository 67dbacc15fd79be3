//! What a deadline costs: to set, move and cancel it, alone and among 100,000; and what a turn of the loop costs while so
//! many are armed and none is due, which is as much as with none.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gnezdo::time::wheel::{Tick, Wheel};
use gnezdo::{Config, Handler, Reactor};

const MANY: u64 = 100_000;
/// Further away than any bench runs, in the wheel's ticks and as time.
const FAR: u64 = 1 << 40;
const FAR_AWAY: Duration = Duration::from_secs(3_600);

/// A wheel in which so many deadlines are armed, none of them soon.
fn armed(count: u64) -> Wheel<u64> {
    let mut wheel = Wheel::new(Tick(0));
    for number in 0..count {
        let _ = wheel.set(Tick(FAR + number * 37), number);
    }
    wheel
}

fn wheel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    for count in [0, MANY] {
        let mut wheel = armed(count);
        group.bench_function(format!("set and cancel among {count}"), |bencher| {
            bencher.iter(|| wheel.set(Tick(60_000), 7).map(|key| wheel.cancel(key)));
        });
        if let Some(key) = wheel.set(Tick(60_000), 7) {
            let mut deadline = 60_000;
            group.bench_function(format!("move among {count}"), |bencher| {
                bencher.iter(|| {
                    deadline += 1;
                    wheel.reset(key, Tick(deadline))
                });
            });
            wheel.cancel(key);
        }
        let mut now = 0;
        group.bench_function(format!("a look at {count}, none due"), |bencher| {
            bencher.iter(|| {
                now += 1;
                black_box((wheel.pop(Tick(now)), wheel.next_deadline()))
            });
        });
    }
    group.finish();
}

struct Idle;

impl Handler for Idle {
    type Conn = ();
    type Post = ();
}

/// A turn that finds nothing: one poll and one look at the wheel.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    for count in [0, MANY] {
        let Ok(mut reactor) = Reactor::new(Idle, Config::default()) else { return };
        reactor.with(|_, cx| {
            for token in 0..count {
                let _ = cx.set_timer(FAR_AWAY + Duration::from_millis(token), token);
            }
        });
        group.bench_function(format!("{count} timers armed, none due"), |bencher| {
            bencher.iter(|| reactor.turn(Some(Duration::ZERO)).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, wheel, turn);
criterion_main!(benches);

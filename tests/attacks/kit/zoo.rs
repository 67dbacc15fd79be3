//! All attacks at once, again and again, against one server in a box of 64 MiB, beside healthy clients.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::judge::attempt;
use super::{Attack, Bystander, Field, Ground, MemoryBox, Schedule, Watch, open_descriptors, say};
use crate::support::resident;

/// G5: of user space and of the kernel's own objects.
const BOX: u64 = 64 << 20;
/// What became of an attack that was repeated.
#[derive(Default)]
struct Tally {
    rounds: usize,
    faults: Vec<String>,
}

/// Fights them all for so many minutes.
pub(crate) fn fight(attacks: &[Attack], minutes: f64) -> Result<(), String> {
    let boxed = MemoryBox::new(BOX);
    if let Err(why) = &boxed {
        say(&format!("no control group ({why}): judged by the resident memory alone"));
    }
    let wrapper = boxed.as_ref().map(MemoryBox::wrapper).unwrap_or_default();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let (mut server, field) = Field::start_zoo(if boxed.is_ok() { &wrapper } else { &[] });
    let base = open_descriptors(server.process);
    let (healthy, quiet) = (
        Bystander::start(&field.target(), Schedule::ONE),
        Bystander::start(&field.target(), Schedule::QUIET),
    );
    let watch = Watch::start(server.process);
    say("all at once");
    let tallies = attack_until(attacks, &field, Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    if !server.is_running() {
        return Err("the server is gone".to_owned());
    }
    let (cost, _) = watch.finish();
    let mut faults = Vec::new();
    for (who, bystander) in [("the healthy client", healthy), ("a thousand quiet clients", quiet)] {
        match bystander.finish() {
            Ok(service) => say(&format!(
                "{who}: {} echoes, all right; p99 {:?}, slowest {:?}",
                service.messages, service.p99, service.worst
            )),
            Err(why) => faults.push(format!("{who}: {why}")),
        }
    }
    let most = resident(server.process).max(cost.growth);
    say(&format!("{} KiB of growth at most, {:?} of processor time", cost.growth / 1024, cost.processor));
    if let Ok(boxed) = &boxed {
        say(&format!("the box: {}", boxed.events()));
    }
    if most > BOX {
        faults.push(format!("{most} bytes resident"));
    }
    let left = settled(server.process, base);
    say(&format!(
        "afterwards {left} descriptors more than before, {} KiB resident",
        resident(server.process) / 1024
    ));
    faults.extend((left > 0).then(|| format!("{left} descriptors are left")));
    show(&tallies, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn attack_until(attacks: &[Attack], field: &Field, end: Instant) -> BTreeMap<&'static str, Tally> {
    let tallies = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for attack in attacks.iter().filter(|attack| attack.ground == Ground::Any) {
            scope.spawn(|| {
                let tally = repeat(attack, field, end);
                tallies.lock().unwrap().insert(attack.name, tally);
            });
        }
    });
    tallies.into_inner().unwrap()
}

fn repeat(attack: &Attack, field: &Field, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let field = field.shared();
        tally.rounds += 1;
        tally.faults.extend(attempt(|| (attack.run)(&field)).err());
    }
    tally
}

/// How many descriptors there are more than before, once all has had its time.
fn settled(process: u32, base: usize) -> usize {
    let began = Instant::now();
    loop {
        let left = open_descriptors(process).saturating_sub(base);
        if left == 0 || began.elapsed() > Duration::from_secs(25) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn show(tallies: &BTreeMap<&'static str, Tally>, faults: &mut Vec<String>) {
    println!("{} attacks at once, in rounds:", tallies.len());
    for (name, tally) in tallies {
        println!("{name:24} {:6}", tally.rounds);
        let count = tally.faults.len();
        faults.extend(tally.faults.first().map(|fault| format!("{name}: {count} times, first: {fault}")));
    }
}

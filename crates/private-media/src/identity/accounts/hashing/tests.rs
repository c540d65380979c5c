//! Who is served when, who is refused, and what is never run.

use proptest::prelude::*;

use super::*;

fn network(n: u8) -> Lane {
    Lane::Network(IpAddr::from([192, 0, 2, n]))
}

fn known(name: &str) -> Lane {
    Lane::Known(name.into())
}

/// A queue whose jobs return a number, and what the clients hold.
struct Bench {
    queue: Queue<u32>,
    clients: HashMap<u32, Client>,
}

struct Client {
    lane: Lane,
    id: u64,
    closed: ClientClosed,
    result: oneshot::Receiver<u32>,
}

impl Bench {
    fn new(total: usize, per_lane: usize) -> Self {
        Self { queue: Queue::new(Capacity { total, per_lane }), clients: HashMap::new() }
    }

    /// Adds a job with this number, whose key is the number too.
    fn add(&mut self, lane: Lane, number: u32) -> Result<Option<Job<u32>>, QueueFull> {
        let (sender, result) = oneshot::channel();
        let closed = ClientClosed::default();
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let work = Box::new(move || number);
        let (id, pushed_out) = self.queue.enqueue(lane.clone(), key, closed.clone(), sender, work)?;
        self.clients.insert(number, Client { lane, id, closed, result });
        Ok(pushed_out)
    }

    fn pushed_out(&mut self, lane: Lane, number: u32) -> Option<u32> {
        self.add(lane, number).unwrap().map(|job| (job.work)())
    }

    fn next(&mut self) -> Option<u32> {
        self.queue.next().map(|job| (job.work)())
    }

    fn rest(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn addresses_take_turns() {
    let mut bench = Bench::new(100, 50);
    for number in 0..5 {
        bench.add(network(1), number).unwrap();
    }
    assert_eq!(bench.next(), Some(0));
    for (n, number) in [(2, 20), (2, 21), (3, 30)] {
        bench.add(network(n), number).unwrap();
    }
    bench.add(Lane::Unknown, 40).unwrap();
    assert_eq!(bench.rest(), [1, 20, 30, 40, 2, 21, 3, 4]);
    assert_eq!((bench.queue.waiting, bench.queue.lanes.len(), bench.queue.turns.len()), (0, 0, 0));
}

#[test]
fn clients_that_have_closed_give_way() {
    let mut bench = Bench::new(100, 50);
    for number in 0..3 {
        bench.add(network(1), number).unwrap();
        bench.add(network(2), 10 + number).unwrap();
    }
    for number in [0, 1, 10, 11, 12] {
        bench.clients[&number].closed.set();
    }
    assert_eq!(bench.next(), Some(2));
    bench.add(network(3), 30).unwrap();
    assert_eq!(bench.rest(), [30, 10, 0, 11, 1, 12]);
}

#[test]
fn who_leaves_takes_no_place() {
    let mut bench = Bench::new(100, 50);
    for number in 0..4 {
        bench.add(network(u8::from(number > 1)), number).unwrap();
    }
    for number in [0, 2, 3] {
        let client = &bench.clients[&number];
        assert!(bench.queue.leave(&client.lane, client.id).is_some());
        assert!(bench.queue.leave(&client.lane, client.id).is_none(), "once");
    }
    assert_eq!((bench.queue.waiting, bench.queue.turns.len()), (1, 1));
    assert_eq!(bench.rest(), [1]);
}

#[test]
fn the_same_password_is_checked_once_for_all_who_wait() {
    let mut bench = Bench::new(2, 1);
    bench.add(network(1), 7).unwrap();
    let first = bench.clients.remove(&7).unwrap();
    for _ in 0..100 {
        bench.add(network(1), 7).unwrap();
    }
    assert!(bench.queue.leave(&first.lane, first.id).is_none(), "others wait for it");
    assert_eq!(bench.queue.waiting, 1);
    bench.add(network(2), 7).unwrap();
    assert_eq!(bench.queue.waiting, 2, "from another address it is another job");
    let job = bench.queue.next().unwrap();
    assert_eq!(job.waiters.len(), 100);
}

#[test]
fn a_full_queue_pushes_out_the_longest_lane() {
    let mut bench = Bench::new(4, 3);
    for number in 0..3 {
        assert_eq!(bench.pushed_out(network(1), number), None);
    }
    assert!(bench.add(network(1), 9).is_err(), "the lane is full");
    assert_eq!(bench.pushed_out(network(2), 20), None);
    assert_eq!(bench.pushed_out(network(3), 30), Some(2), "the newest of the longest");
    assert!(bench.clients.get_mut(&2).unwrap().result.try_recv().is_err(), "it is told");
    assert!(bench.add(network(2), 21).is_err(), "it would be as long as the longest");
    assert_eq!(bench.pushed_out(network(4), 40), Some(1));
    assert!(bench.add(network(5), 50).is_err(), "each has one");
    for (number, pushed_out) in [(60, 40), (61, 30), (62, 20)] {
        assert_eq!(
            bench.pushed_out(known("alice"), number),
            Some(pushed_out),
            "a known device goes before strangers"
        );
    }
    assert!(bench.add(known("alice"), 63).is_err(), "but its account's lane is as long as others");
    assert_eq!(bench.pushed_out(known("bob"), 70), Some(0));
    assert!(bench.add(network(6), 80).is_err(), "strangers do not push out known devices");
    assert_eq!(bench.pushed_out(known("carol"), 90), Some(62));
    bench.clients[&60].closed.set();
    assert_eq!(bench.pushed_out(network(6), 80), Some(60), "but those that have closed");
    assert_eq!(bench.rest().len(), 4);
}

/// What happens to a queue.
#[derive(Debug, Clone)]
enum Event {
    Arrives(u8, bool),
    Leaves(usize),
    Closes(usize),
    Runs,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..6_u8, any::<bool>()).prop_map(|(n, is_known)| Event::Arrives(n, is_known)),
        1 => any::<usize>().prop_map(Event::Leaves),
        1 => any::<usize>().prop_map(Event::Closes),
        3 => Just(Event::Runs),
    ];
    prop::collection::vec(event, 0..200)
}

proptest! {
    /// The queue is bounded, runs nothing that nobody waits for, and serves the first job of each lane within one round.
    #[test]
    fn bounded_and_fair(events in events(), total in 1..20_usize, per_lane in 1..10_usize) {
        let mut bench = Bench::new(total, per_lane);
        // For each job that is the first of its lane: how many lanes had a turn before it at most.
        let mut due: HashMap<u32, usize> = HashMap::new();
        for (number, event) in (0_u32..).zip(events) {
            let mut numbers: Vec<_> = bench.clients.keys().copied().collect();
            numbers.sort_unstable();
            match event {
                Event::Arrives(n, is_known) => {
                    let lane = if is_known { known(&n.to_string()) } else { network(n) };
                    let (len, lanes) = (bench.queue.len(&lane), bench.queue.turns.len());
                    if let Ok(pushed_out) = bench.add(lane, number) {
                        if let Some(job) = pushed_out {
                            let number = (job.work)();
                            bench.clients.remove(&number);
                            due.remove(&number);
                        }
                        if len == 0 {
                            due.insert(number, lanes);
                        }
                    } else {
                        prop_assert!(len >= per_lane || bench.queue.waiting == total);
                    }
                }
                Event::Leaves(at) if !numbers.is_empty() => {
                    let number = numbers[at % numbers.len()];
                    let client = bench.clients.remove(&number).unwrap();
                    prop_assert!(bench.queue.leave(&client.lane, client.id).is_some());
                    due.remove(&number);
                }
                Event::Closes(at) if !numbers.is_empty() => {
                    let number = numbers[at % numbers.len()];
                    bench.clients[&number].closed.set();
                    due.remove(&number);
                }
                Event::Runs => {
                    let any_open = bench.clients.values().any(|client| !client.closed.get());
                    let Some(number) = bench.next() else {
                        prop_assert!(bench.clients.is_empty());
                        continue;
                    };
                    let client = bench.clients.remove(&number).expect("who left is not served");
                    prop_assert_eq!(client.closed.get(), !any_open, "who may have left goes last");
                    due.remove(&number);
                    for (number, before) in &mut due {
                        prop_assert!(*before > 0, "{} waits for a second round", number);
                        *before -= 1;
                    }
                }
                _ => {}
            }
            let lens: Vec<_> = bench.queue.lanes.values().map(VecDeque::len).collect();
            prop_assert!(bench.queue.waiting <= total && lens.iter().all(|len| (1..=per_lane).contains(len)));
            prop_assert_eq!(lens.iter().sum::<usize>(), bench.queue.waiting);
            prop_assert_eq!(bench.clients.len(), bench.queue.waiting);
            prop_assert_eq!(lens.len(), bench.queue.turns.len());
        }
    }
}

/// What takes a moment, as hashing does.
fn slow(number: u32) -> u32 {
    std::thread::sleep(Duration::from_millis(1));
    number
}

async fn run(queue: &HashQueue<u32>, lane: Lane, number: u8) -> Result<u32, QueueFull> {
    queue.run(lane, [number; 32], ClientClosed::default(), move || slow(number.into())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_gets_their_own_answer() {
    let queue = HashQueue::default();
    let tasks = (0..200_u8).map(|n| {
        let queue = queue.clone();
        tokio::spawn(async move { (n, run(&queue, network(n % 20), n).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (n, result) = task.await.unwrap();
        assert_eq!(result, Ok(n.into()));
    }
}

#[tokio::test]
async fn a_dropped_future_is_not_run() {
    let queue = HashQueue::<u32>::default();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let first = queue.clone();
    let first = tokio::spawn(async move {
        let work = move || {
            begun.send(()).unwrap();
            may_end.recv().unwrap();
            1
        };
        first.run(network(1), [1; 32], ClientClosed::default(), work).await
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    for n in 2..50 {
        let never = queue.run(network(n), [n; 32], ClientClosed::default(), || panic!("it was run"));
        assert!(tokio::time::timeout(Duration::ZERO, never).await.is_err());
    }
    assert_eq!(locked(&queue.0).waiting, 0);
    end.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(run(&queue, network(1), 60).await, Ok(60));
}

#[tokio::test]
async fn a_job_that_panics_stops_no_others() {
    let queue = HashQueue::<u32>::default();
    let mut tasks = Vec::new();
    for n in 0..10_u8 {
        let queue = queue.clone();
        let work = move || if n % 3 == 0 { panic!("job {n}") } else { u32::from(n) };
        tasks.push(tokio::spawn(async move {
            queue.run(network(n), [n; 32], ClientClosed::default(), work).await
        }));
    }
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), if n % 3 == 0 { Err(QueueFull) } else { Ok(n) });
    }
}

/// The runtime that ran the jobs may end before another one.
#[test]
fn a_runtime_that_ends_stops_no_others() {
    let queue = HashQueue::<u32>::default();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    for n in 0..5 {
        let first = runtime();
        let _ = first.block_on(async {
            let waiting = std::pin::pin!(run(&queue, network(n), n));
            futures_util::FutureExt::now_or_never(waiting)
        });
        first.shutdown_background();
        assert_eq!(runtime().block_on(run(&queue, network(n), 100 + n)), Ok(100 + u32::from(n)));
    }
}

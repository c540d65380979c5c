//! The order of jobs, and the jobs that are rejected or never run.

use proptest::prelude::*;

use super::*;

fn network(n: u8) -> Lane {
    Lane::Network(IpAddr::from([192, 0, 2, n]))
}

fn known(name: &str) -> Lane {
    Lane::Known(name.into())
}

/// A queue whose jobs return their number, and the clients of the jobs.
struct TestQueue {
    inner: Queue<u32>,
    clients: HashMap<u32, Client>,
}

struct Client {
    lane: Lane,
    id: u64,
    closed: ClientClosed,
    result: oneshot::Receiver<u32>,
}

impl TestQueue {
    fn new(total: usize, per_lane: usize) -> Self {
        Self { inner: Queue::new(Capacity { total, per_lane }), clients: HashMap::new() }
    }

    /// Adds a job. Its number is its key and its result.
    fn add(&mut self, lane: Lane, number: u32) -> Result<Option<Job<u32>>, QueueFull> {
        let (sender, result) = oneshot::channel();
        let closed = ClientClosed::default();
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let work = Box::new(move || number);
        let (id, evicted) = self.inner.enqueue(lane.clone(), key, closed.clone(), sender, work)?;
        self.clients.insert(number, Client { lane, id, closed, result });
        Ok(evicted)
    }

    fn add_and_evict(&mut self, lane: Lane, number: u32) -> Option<u32> {
        self.add(lane, number).unwrap().map(|job| (job.work)())
    }

    fn next(&mut self) -> Option<u32> {
        self.inner.next().map(|job| (job.work)())
    }

    fn rest(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn addresses_take_turns() {
    let mut queue = TestQueue::new(100, 50);
    for number in 0..5 {
        queue.add(network(1), number).unwrap();
    }
    assert_eq!(queue.next(), Some(0));
    for (n, number) in [(2, 20), (2, 21), (3, 30)] {
        queue.add(network(n), number).unwrap();
    }
    queue.add(Lane::Unknown, 40).unwrap();
    assert_eq!(queue.rest(), [1, 20, 30, 40, 2, 21, 3, 4]);
    assert_eq!((queue.inner.waiting, queue.inner.lanes.len(), queue.inner.turns.len()), (0, 0, 0));
}

#[test]
fn jobs_of_closed_clients_run_last() {
    let mut queue = TestQueue::new(100, 50);
    for number in 0..3 {
        queue.add(network(1), number).unwrap();
        queue.add(network(2), 10 + number).unwrap();
    }
    for number in [0, 1, 10, 11, 12] {
        queue.clients[&number].closed.set();
    }
    assert_eq!(queue.next(), Some(2));
    queue.add(network(3), 30).unwrap();
    assert_eq!(queue.rest(), [30, 10, 0, 11, 1, 12]);
}

#[test]
fn jobs_of_disconnected_clients_are_removed() {
    let mut queue = TestQueue::new(100, 50);
    for number in 0..4 {
        queue.add(network(u8::from(number > 1)), number).unwrap();
    }
    for number in [0, 2, 3] {
        let client = &queue.clients[&number];
        assert!(queue.inner.leave(&client.lane, client.id).is_some());
        assert!(queue.inner.leave(&client.lane, client.id).is_none(), "once");
    }
    assert_eq!((queue.inner.waiting, queue.inner.turns.len()), (1, 1));
    assert_eq!(queue.rest(), [1]);
}

#[test]
fn a_password_is_checked_once_for_all_waiting_clients() {
    let mut queue = TestQueue::new(2, 1);
    queue.add(network(1), 7).unwrap();
    let first = queue.clients.remove(&7).unwrap();
    for _ in 0..100 {
        queue.add(network(1), 7).unwrap();
    }
    assert!(queue.inner.leave(&first.lane, first.id).is_none(), "other clients wait for it");
    assert_eq!(queue.inner.waiting, 1);
    queue.add(network(2), 7).unwrap();
    assert_eq!(queue.inner.waiting, 2, "another address has another job");
    let job = queue.inner.next().unwrap();
    assert_eq!(job.waiters.len(), 100);
}

#[test]
fn a_full_queue_evicts_from_the_longest_lane() {
    let mut queue = TestQueue::new(4, 3);
    for number in 0..3 {
        assert_eq!(queue.add_and_evict(network(1), number), None);
    }
    assert!(queue.add(network(1), 9).is_err(), "the lane is full");
    assert_eq!(queue.add_and_evict(network(2), 20), None);
    assert_eq!(queue.add_and_evict(network(3), 30), Some(2), "the newest job of the longest lane");
    assert!(queue.clients.get_mut(&2).unwrap().result.try_recv().is_err(), "its client gets an error");
    assert!(queue.add(network(2), 21).is_err(), "its lane would be as long as the longest");
    assert_eq!(queue.add_and_evict(network(4), 40), Some(1));
    assert!(queue.add(network(5), 50).is_err(), "each lane has one job");
    for (number, evicted) in [(60, 40), (61, 30), (62, 20)] {
        assert_eq!(
            queue.add_and_evict(known("alice"), number),
            Some(evicted),
            "a known device evicts other clients"
        );
    }
    assert!(queue.add(known("alice"), 63).is_err(), "but not if its lane is the longest");
    assert_eq!(queue.add_and_evict(known("bob"), 70), Some(0));
    assert!(queue.add(network(6), 80).is_err(), "other clients do not evict known devices");
    assert_eq!(queue.add_and_evict(known("carol"), 90), Some(62));
    queue.clients[&60].closed.set();
    assert_eq!(queue.add_and_evict(network(6), 80), Some(60), "unless they have closed");
    assert_eq!(queue.rest().len(), 4);
}

/// An event of a queue.
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
    /// Each job has a waiting client, and the first job of each lane runs within one round.
    #[test]
    fn the_queue_is_bounded_and_fair(events in events(), total in 1..20_usize, per_lane in 1..10_usize) {
        let mut queue = TestQueue::new(total, per_lane);
        // For the first job of each lane: the maximum number of turns before it.
        let mut due: HashMap<u32, usize> = HashMap::new();
        for (number, event) in (0_u32..).zip(events) {
            let mut numbers: Vec<_> = queue.clients.keys().copied().collect();
            numbers.sort_unstable();
            match event {
                Event::Arrives(n, is_known) => {
                    let lane = if is_known { known(&n.to_string()) } else { network(n) };
                    let (len, lanes) = (queue.inner.len(&lane), queue.inner.turns.len());
                    if let Ok(evicted) = queue.add(lane, number) {
                        if let Some(job) = evicted {
                            let number = (job.work)();
                            queue.clients.remove(&number);
                            due.remove(&number);
                        }
                        if len == 0 {
                            due.insert(number, lanes);
                        }
                    } else {
                        prop_assert!(len >= per_lane || queue.inner.waiting == total);
                    }
                }
                Event::Leaves(at) if !numbers.is_empty() => {
                    let number = numbers[at % numbers.len()];
                    let client = queue.clients.remove(&number).unwrap();
                    prop_assert!(queue.inner.leave(&client.lane, client.id).is_some());
                    due.remove(&number);
                }
                Event::Closes(at) if !numbers.is_empty() => {
                    let number = numbers[at % numbers.len()];
                    queue.clients[&number].closed.set();
                    due.remove(&number);
                }
                Event::Runs => {
                    let any_open = queue.clients.values().any(|client| !client.closed.get());
                    let Some(number) = queue.next() else {
                        prop_assert!(queue.clients.is_empty());
                        continue;
                    };
                    let client = queue.clients.remove(&number).expect("the client is still waiting");
                    prop_assert_eq!(client.closed.get(), !any_open, "closed clients are last");
                    due.remove(&number);
                    for (number, before) in &mut due {
                        prop_assert!(*before > 0, "{} waits for a second round", number);
                        *before -= 1;
                    }
                }
                _ => {}
            }
            let lens: Vec<_> = queue.inner.lanes.values().map(VecDeque::len).collect();
            prop_assert!(queue.inner.waiting <= total && lens.iter().all(|len| (1..=per_lane).contains(len)));
            prop_assert_eq!(lens.iter().sum::<usize>(), queue.inner.waiting);
            prop_assert_eq!(queue.clients.len(), queue.inner.waiting);
            prop_assert_eq!(lens.len(), queue.inner.turns.len());
        }
    }
}

/// Takes a moment, like hashing.
fn slow(number: u32) -> u32 {
    std::thread::sleep(Duration::from_millis(1));
    number
}

async fn run(queue: &HashQueue<u32>, lane: Lane, number: u8) -> Result<u32, QueueFull> {
    queue.run(lane, [number; 32], ClientClosed::default(), move || slow(number.into())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_client_gets_its_own_result() {
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
async fn the_job_of_a_dropped_future_does_not_run() {
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
        let never = queue.run(network(n), [n; 32], ClientClosed::default(), || panic!("the job was run"));
        assert!(tokio::time::timeout(Duration::ZERO, never).await.is_err());
    }
    assert_eq!(locked(&queue.0).waiting, 0);
    end.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(run(&queue, network(1), 60).await, Ok(60));
}

#[tokio::test]
async fn a_panic_of_a_job_does_not_affect_others() {
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

#[test]
fn jobs_run_after_the_end_of_another_runtime() {
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

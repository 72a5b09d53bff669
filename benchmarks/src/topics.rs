//! A topic, from a broker to rows that are counted.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flowc_kafka::{Access, Client, Cluster};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use xtask::kafka::Broker;
use xtask::process;

use super::Bench;
use super::measure::{Usage, by_turns, cpu, measure, peak, wall};
use super::project::{Cold, FEW};
use super::records::{bids, into_struct};
use super::report::{Finding, Section, row};

/// Records, where the command does not say.
const RECORDS: u64 = 2_000_000;
const PARTITIONS: i32 = 4;
const ROUNDS: usize = 3;
/// Records that are made at once.
const PIECE: usize = 10_000;
const TOPIC: &str = "bids";
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a plain consumer does with a record, in the words of the command line.
const STRUCTS: &str = "structs";
const NOTHING: &str = "nothing";
/// The same as nothing, of records that are taken from librdkafka as flowc takes them.
const TAKEN: &str = "taken";

/// flowc into a count, against a plain consumer that decodes into structs, and those that decode nothing.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let records = bench.rows.unwrap_or(RECORDS);
    let broker = Broker::start(bench.workspace)?;
    let variables = broker.variables();
    let address = variables.iter().find(|(name, _)| *name == "FLOWC_KAFKA").context("the broker has no address")?;
    let address = address.1.as_str();
    // In a process of its own: what a program has held counts as held by those that it starts.
    process::run(program()?.args(["fill", address]).arg(records.to_string()))?;
    let source = format!("kafka \"{address}\" topic=\"{TOPIC}\"; format \"json\"");
    let few = (pipeline(&format!("files \"{FEW}\"; format \"jsonl\"")), bids(0..2));
    let flowc = Cold::new(bench, "count", pipeline(&source), few)?;
    flowc.compile()?;
    let counted: u64 = std::fs::read_to_string(flowc.folder().join("out/counts.csv"))?
        .lines()
        .skip(1)
        .filter_map(|line| line.rsplit(',').next()?.parse::<u64>().ok())
        .sum();
    if counted != records {
        bail!("flowc counts {counted} of {records} records");
    }
    let plain = |what: &str| measure(program()?.args(["consume", address, what]));
    let runs: [&mut dyn FnMut() -> Result<Usage>; 4] =
        [&mut || flowc.cold(), &mut || plain(STRUCTS), &mut || plain(NOTHING), &mut || plain(TAKEN)];
    let [ours, structs, nothing, taken] = by_turns(ROUNDS, runs)?;
    let rate = |usages: &[Usage]| records as f64 / 1e6 / cpu(usages);
    let line = |name: &str, usages: &[Usage]| {
        let (wall, cpu) = (format!("{:.1} s", wall(usages)), format!("{:.1} s", cpu(usages)));
        row([
            name.to_owned(),
            wall,
            cpu,
            format!("{:.2}", rate(usages)),
            format!("{:.0} MB", peak(usages) as f64 / 1e6),
        ])
    };
    Ok(Section {
        title: "A topic counted".to_owned(),
        text: format!(
            "{records} flat records of JSON, of {} bytes each, in {PARTITIONS} partitions, are read from a broker on the same machine, whose processor \
             time does not count. flowc runs cold, with components compiled: it keeps and digests the blocks, decodes all seven columns, digests these, \
             and counts rows by one of them. The plain consumer is a program with librdkafka's defaults that polls record by record; it decodes each by \
             `serde_json` into a struct, and drops it. Two more look at nothing but where records lie: one polls as well, and one takes records from librdkafka \
             as flowc does, many at once. What that one takes is the least that flowc can take.",
            bids(0..1000).len() / 1000 - 1
        ),
        head: row(["program", "wall time", "processor time", "M records a core-second", "peak memory"]),
        rows: vec![
            line("flowc, into a count", &ours),
            line("a plain consumer, into structs", &structs),
            line("a plain consumer that decodes nothing", &nothing),
            line("flowc's way to take records, and nothing else", &taken),
        ],
        findings: vec![
            Finding::at_least("at least 1 M records a core-second", rate(&ours), 1.0, " M"),
            Finding::at_least("of the plain consumer's rate", rate(&ours) / rate(&structs), 2.0, "x"),
            Finding::figure(
                "polling and decoding nothing, of the plain consumer's rate",
                format!("{:.2}x", rate(&nothing) / rate(&structs)),
            ),
            Finding::figure(
                "taking records as flowc does and decoding nothing, of the plain consumer's rate",
                format!("{:.2}x", rate(&taken) / rate(&structs)),
            ),
        ],
    })
}

fn pipeline(source: &str) -> String {
    let column = |(name, data_type): (&str, &str)| format!("column \"{name}\" \"{data_type}\" nullable=#false\n");
    let columns = [
        ("auction", "Int64"),
        ("bidder", "Int64"),
        ("price", "Float64"),
        ("channel", "Utf8"),
        ("url", "Utf8"),
        ("at", "Int64"),
        ("won", "Boolean"),
    ];
    format!(
        "source \"bids\" {{\n{source}\nschema {{\n{}}}\n}}\n\
         stage \"counts\" {{ in \"bids\"; std \"count@1\"; config {{ by \"channel\" }} }}\n\
         sink \"counts\" {{ in \"counts\"; file \"out/counts.csv\" }}\n",
        columns.map(column).concat()
    )
}

/// This program, for what is to be done in a process of its own.
fn program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Creates the topic and fills it.
pub(super) fn fill(broker: &str, records: &str) -> Result<()> {
    let records: usize = records.parse()?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("linger.ms", "20").set("queue.buffering.max.kbytes", "65536");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for created in wait(admin.create_topics([&topic], &options))? {
        created.map_err(|(name, code)| anyhow::anyhow!("the topic {name}: {code}"))?;
    }
    let producer: BaseProducer = config.create()?;
    for first in (0..records).step_by(PIECE) {
        let text = bids(first..records.min(first + PIECE));
        for (number, value) in (first..).zip(text.lines()) {
            let partition = i32::try_from(number % PARTITIONS.unsigned_abs() as usize)?;
            let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(value);
            while let Err((error, refused)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                producer.poll(Duration::from_millis(10));
                record = refused;
            }
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

/// Waits for what an administrator's thread answers.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut task) = (pin!(future), Task::from_waker(Waker::noop()));
    loop {
        match future.as_mut().poll(&mut task) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Consumes the topic, in a process of its own.
pub(super) fn consume(broker: &str, what: &str) -> Result<()> {
    match what {
        STRUCTS => poll(broker, into_struct),
        NOTHING => poll(broker, |value| {
            black_box(value);
            Ok(())
        }),
        TAKEN => take(broker),
        other => bail!("`{other}` is nothing that a consumer does"),
    }
}

/// Takes all records of the topic as flowc does.
fn take(broker: &str) -> Result<()> {
    let brokers = vec![broker.to_owned()];
    let client = Client::new(Access { brokers, uncommitted: false, login: None, encrypted: false, authorities: None });
    for partition in client.topic(TOPIC)?.partitions {
        let offsets = client.offsets(TOPIC, partition)?;
        client.read(TOPIC, partition, offsets, &mut |record| {
            black_box(record.value);
            Ok(())
        })??;
    }
    Ok(())
}

/// What a plain consumer does: it polls all records of the topic, and does something with each.
fn poll(broker: &str, act: impl Fn(&[u8]) -> Result<()>) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("group.id", "plain").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("enable.auto.commit", "false").create()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), PATIENCE)?;
    let partitions = metadata.topics().first().context("no such topic")?.partitions();
    let mut assigned = TopicPartitionList::new();
    for partition in partitions {
        assigned.add_partition_offset(TOPIC, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    let mut left = partitions.len();
    while left > 0 {
        match consumer.poll(PATIENCE).context("the broker gives nothing")? {
            Ok(message) => act(message.payload().unwrap_or_default())?,
            Err(KafkaError::PartitionEOF(_)) => left -= 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

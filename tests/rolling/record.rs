//! What the clients have seen, and what the log says about it.

use std::collections::BTreeMap;

use super::site::Logged;

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The ids under which texts were acknowledged.
    pub acked: BTreeMap<String, String>,
    /// The texts that were read, in their order, by each client that resumes.
    pub resumed: Vec<Vec<String>>,
    /// The texts that were read on each connection that cannot resume.
    pub live: Vec<Vec<String>>,
    /// Gaps, and welcomes that recovered less than everything.
    pub reported: Vec<String>,
}

impl Record {
    /// Fails unless each acknowledged message is in the log once, under the id of its ack, and each
    /// other one at most once; each reader read a part of the log without a hole, each message once
    /// and in order, clients that resume up to its end; and none was informed of a gap.
    pub fn check(&self, log: &[Logged]) {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, (_, text)) in log.iter().enumerate() {
            places.entry(text).or_default().push(at);
        }
        for (text, places) in &places {
            assert_eq!(places.len(), 1, "{text} is in the log at {places:?}");
        }
        for (text, id) in &self.acked {
            let at = places.get(text.as_str()).unwrap_or_else(|| panic!("{text} is not in the log"))[0];
            assert_eq!(log[at].0, *id, "the id of {text}");
        }
        let read = |texts: &[String]| -> Vec<usize> {
            let place = |text: &String| places.get(text.as_str()).unwrap_or_else(|| panic!("{text}"))[0];
            texts.iter().map(place).collect()
        };
        let mut counts = [0, 0];
        for (kind, readers) in [&self.resumed, &self.live].into_iter().enumerate() {
            for texts in readers {
                let read = read(texts);
                counts[kind] += read.len();
                for (pair, text) in read.windows(2).zip(texts) {
                    assert_eq!(pair[1], pair[0] + 1, "what was read after {text}");
                }
                assert!(kind == 1 || read.last() == Some(&(log.len() - 1)), "a reader read to the end");
            }
            assert!(counts[kind] > 0, "nothing was read");
        }
        assert_eq!(self.reported, Vec::<String>::new(), "gaps were reported");
        println!(
            "{} messages in the log, {} acknowledged, {} read by {} clients that resume and {} on {} connections \
             that do not: none lost, doubled or out of order, no gap",
            log.len(),
            self.acked.len(),
            counts[0],
            self.resumed.len(),
            counts[1],
            self.live.len(),
        );
    }
}

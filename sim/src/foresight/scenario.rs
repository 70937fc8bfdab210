//! The script: one line each for what the world is like and what goes wrong in it.

use engine::base::nearest::nearest;
use engine::base::time::Span;
use engine::boundary::Document;
use engine::config::duration::span;
use std::collections::BTreeMap;
use std::fmt;

/// What a scenario file says. Places are numbers: 0 is the parent, then its children by name.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub traits: Vec<(usize, Trait)>,
    pub surges: Vec<(Window, u64)>,
    pub strokes: Vec<Stroke>,
    /// Failures allowed in a million requests.
    pub allowed_ppm: Option<u64>,
    /// Asked for instead of what the routers name, with weights.
    pub requests: Vec<(String, u64)>,
}

/// What a place is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trait {
    /// One way between it and its parent.
    Latency(Span),
    /// Requests per second.
    Capacity(u64),
    Service(Span),
    /// Of a played child.
    Weight(u32),
    /// Of a played child.
    Health {
        every: Span,
        timeout: Span,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub from: Span,
    /// [`Span::MAX`]: to the end.
    pub until: Span,
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub struct Stroke {
    pub line: usize,
    /// As written.
    pub text: String,
    pub place: usize,
    pub window: Window,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    Partition,
    Blackhole,
    Crash,
    Slow { by: Span },
    Error { status: u16 },
    Flap { every: Span },
    PollGarbage,
    CertExpires,
    ClockJump { by: Span },
    Reload(Document),
}

/// A line that cannot be meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// What the words of a scenario may refer to.
pub struct Known<'a> {
    pub places: &'a [String],
    /// Whether documents describe the place; otherwise it is played.
    pub written: &'a [bool],
    /// Whether its parent comes to the place over TLS.
    pub secure: &'a [bool],
    pub length: Span,
    /// Reads a file that a line names.
    pub load: &'a dyn Fn(&str) -> Result<Document, String>,
}

/// The verbs, and a line of each.
const VERBS: [(&str, &str); 18] = [
    ("partition", "partition CHILD 40s..100s"),
    ("blackhole", "blackhole CHILD 40s..100s"),
    ("crash", "crash CHILD 40s..100s"),
    ("slow", "slow CHILD 40s..100s by 800ms"),
    ("error", "error CHILD 40s..100s with 503"),
    ("flap", "flap CHILD 40s..100s every 8s"),
    ("poll-garbage", "poll-garbage CHILD 40s..100s"),
    ("clock-jump", "clock-jump parent at 40s by 1h"),
    ("cert-expires", "cert-expires CHILD at 40s"),
    ("reload", "reload [CHILD] FILE at 40s"),
    ("load", "load 500/s [40s..100s]"),
    ("latency", "latency CHILD 40ms"),
    ("capacity", "capacity CHILD 500/s"),
    ("service", "service CHILD 3ms"),
    ("weight", "weight CHILD 3"),
    ("health", "health CHILD every 5s timeout 1s"),
    ("slo", "slo 99.9%"),
    ("request", "request http://host/path [x3]"),
];

/// Reads a script. Every problem at once.
pub fn parse(text: &str, known: &Known<'_>) -> Result<Scenario, Vec<Wrong>> {
    let mut scenario = Scenario::default();
    let mut wrong = Vec::new();
    let mut told: BTreeMap<(&str, Option<usize>), usize> = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut reader = Line { line, text, form: "", words: &words, known };
        let before = scenario.traits.len();
        if let Err(text) = reader.read(&mut scenario) {
            wrong.push(Wrong { line, text });
            continue;
        }
        let place = scenario.traits.get(before).map(|(place, _)| *place);
        if (place.is_some() || words[0] == "slo")
            && let Some(earlier) = told.insert((words[0], place), line)
        {
            let text = format!("line {earlier} says what {} is", words[0]);
            wrong.push(Wrong { line, text });
        }
    }
    contradictions(&scenario.strokes, known.places, &mut wrong);
    wrong.sort_by_key(|wrong| wrong.line);
    if wrong.is_empty() { Ok(scenario) } else { Err(wrong) }
}

struct Line<'a> {
    line: usize,
    text: &'a str,
    /// What a line with its verb looks like.
    form: &'static str,
    words: &'a [&'a str],
    known: &'a Known<'a>,
}

impl<'a> Line<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        let Some((first, rest)) = self.words.split_first() else {
            return Err(self.unlike(&format!("{what} is missing at the end")));
        };
        self.words = rest;
        Ok(first)
    }

    /// The word `word`, which only makes the line readable.
    fn expect(&mut self, word: &str) -> Result<(), String> {
        let found = self.next(&format!("`{word}`"))?;
        if found == word {
            return Ok(());
        }
        Err(self.unlike(&format!("`{word}` is expected, not {found}")))
    }

    fn unlike(&self, problem: &str) -> String {
        format!("{problem}: write `{}`", self.form)
    }

    fn end(&self) -> Result<(), String> {
        match self.words.first() {
            Some(word) => Err(self.unlike(&format!("{word} is one word too many"))),
            None => Ok(()),
        }
    }

    fn read(&mut self, into: &mut Scenario) -> Result<(), String> {
        let verb = self.next("a verb")?;
        let known = VERBS.into_iter().find(|(known, _)| *known == verb);
        let Some((_, form)) = known else {
            return Err(unknown("verb", verb, VERBS.map(|(verb, _)| verb)));
        };
        self.form = form;
        match verb {
            "load" => {
                let rate = self.rate()?;
                let window = if self.words.is_empty() { ALWAYS } else { self.window()? };
                into.surges.push((window, rate));
            }
            "slo" => into.allowed_ppm = Some(self.objective()?),
            "request" => into.requests.push(self.request()?),
            "latency" | "capacity" | "service" | "weight" | "health" => {
                let found = self.describe(verb)?;
                into.traits.push(found);
            }
            _ => into.strokes.push(self.stroke(verb)?),
        }
        self.end()
    }

    fn place(&mut self) -> Result<usize, String> {
        let name = self.next("a child, or `parent`,")?;
        let found = self.known.places.iter().position(|place| place == name);
        let names = self.known.places.iter().map(String::as_str);
        found.ok_or_else(|| unknown("child", name, names))
    }

    fn span(&mut self, what: &str) -> Result<Span, String> {
        let word = self.next(what)?;
        span(word).map_err(|why| format!("{word} is no length of time: {why}"))
    }

    fn more_than_nothing(&mut self, what: &str) -> Result<Span, String> {
        let span = self.span(what)?;
        if span == Span::ZERO { Err("by 0s it changes nothing".to_owned()) } else { Ok(span) }
    }

    fn rate(&mut self) -> Result<u64, String> {
        let word = self.next("a rate")?;
        let number = word.strip_suffix("/s").and_then(|number| number.parse().ok());
        number
            .filter(|rate| (1..=1_000_000).contains(rate))
            .ok_or_else(|| format!("{word} is no rate: write 500/s, from 1/s to 1000000/s"))
    }

    /// `40s..100s`, `at 40s`.
    fn window(&mut self) -> Result<Window, String> {
        let word = self.next("a time")?;
        let at = |text: &str| span(text).map_err(|why| format!("{text} is no time: {why}"));
        let window = if word == "at" {
            Window { from: self.span("a time")?, until: Span::MAX }
        } else {
            let ends = word.split_once("..");
            let (from, until) = ends.ok_or_else(|| self.unlike(&format!("{word} is no time")))?;
            let until = if until.is_empty() { Span::MAX } else { at(until)? };
            Window { from: at(from)?, until }
        };
        let length = self.known.length;
        if window.until <= window.from {
            return Err(format!("{word} ends before it begins"));
        }
        if window.from >= length {
            return Err(format!("it begins at {}, and the run ends at {length}", window.from));
        }
        Ok(window)
    }

    fn objective(&mut self) -> Result<u64, String> {
        let word = self.next("an objective")?;
        let bad = || format!("{word} is no objective: write 99.9%");
        let (whole, part) = word
            .strip_suffix('%')
            .map_or(("", ""), |number| number.split_once('.').unwrap_or((number, "")));
        let digits = format!("{part:0<4}");
        if digits.len() != 4 {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let part: u64 = digits.parse().map_err(|_| bad())?;
        let kept = whole * 10_000 + part;
        if kept >= 1_000_000 { Err(bad()) } else { Ok(1_000_000 - kept) }
    }

    /// `http://host/path [xN]`.
    fn request(&mut self) -> Result<(String, u64), String> {
        let url = self.next("a URL")?;
        if !url.starts_with("http://") {
            return Err(format!("{url} does not begin with http://"));
        }
        let weight = match self.words.first() {
            None => 1,
            Some(_) => {
                let word = self.next("a weight")?;
                let number = word.strip_prefix('x').and_then(|number| number.parse().ok());
                let number = number.filter(|weight| (1..=1_000_000).contains(weight));
                number.ok_or_else(|| format!("{word} is no weight: write x3"))?
            }
        };
        Ok((url.to_owned(), weight))
    }

    fn describe(&mut self, verb: &str) -> Result<(usize, Trait), String> {
        let place = self.place()?;
        let played = place > 0 && !self.known.written[place];
        if matches!(verb, "weight" | "health") && !played {
            let name = &self.known.places[place];
            return Err(format!("the {verb} of {name} is in its own documents"));
        }
        let described = match verb {
            "latency" => Trait::Latency(self.span("a latency")?),
            "service" => Trait::Service(self.span("a service time")?),
            "capacity" => Trait::Capacity(self.rate()?),
            "weight" => {
                let word = self.next("a weight")?;
                let weight = word.parse().map_err(|_| format!("{word} is no weight"))?;
                Trait::Weight(weight)
            }
            _ => {
                self.expect("every")?;
                let every = self.span("an interval")?;
                self.expect("timeout")?;
                Trait::Health { every, timeout: self.span("a timeout")? }
            }
        };
        Ok((place, described))
    }

    fn stroke(&mut self, verb: &str) -> Result<Stroke, String> {
        if verb == "reload" {
            return self.reload();
        }
        let place = self.place()?;
        if matches!(verb, "partition" | "poll-garbage" | "cert-expires") && place == 0 {
            return Err(format!("{verb} is for children"));
        }
        let written = self.known.written[place];
        if verb == "clock-jump" && !written {
            let name = &self.known.places[place];
            return Err(format!("{name} has no documents, so no clock"));
        }
        if verb == "poll-garbage" && written {
            let name = &self.known.places[place];
            return Err(format!(
                "{name} has documents and answers polls as they say; leave them out to play it"
            ));
        }
        if verb == "cert-expires" && !self.known.secure[place] {
            let name = &self.known.places[place];
            return Err(format!("{name} is reached in the clear, and shows no certificate"));
        }
        let window = self.window()?;
        let what = match verb {
            "cert-expires" => What::CertExpires,
            "partition" => What::Partition,
            "blackhole" => What::Blackhole,
            "crash" => What::Crash,
            "poll-garbage" => What::PollGarbage,
            "slow" => {
                self.expect("by")?;
                What::Slow { by: self.more_than_nothing("how much slower")? }
            }
            "clock-jump" => {
                self.expect("by")?;
                What::ClockJump { by: self.more_than_nothing("how far it jumps")? }
            }
            "flap" => {
                self.expect("every")?;
                let every = self.span("a period")?;
                if every < Span::millis(2) {
                    return Err("it flaps at most every 2ms".to_owned());
                }
                What::Flap { every }
            }
            _ => {
                self.expect("with")?;
                let word = self.next("a status")?;
                let status = word.parse().ok().filter(|status| (200..600).contains(status));
                What::Error { status: status.ok_or_else(|| format!("{word} is no status"))? }
            }
        };
        Ok(Stroke { line: self.line, text: self.text.to_owned(), place, window, what })
    }

    /// `reload [CHILD] FILE at 60s`.
    fn reload(&mut self) -> Result<Stroke, String> {
        let named = self.words.len() == 4;
        let place = if named { self.place()? } else { 0 };
        if !self.known.written[place] {
            return Err(format!("{} has no documents to change", self.known.places[place]));
        }
        let file = self.next("a file")?;
        let window = self.window()?;
        let document = (self.known.load)(file).map_err(|why| format!("{file}: {why}"))?;
        let what = What::Reload(document);
        Ok(Stroke { line: self.line, text: self.text.to_owned(), place, window, what })
    }
}

const ALWAYS: Window = Window { from: Span::ZERO, until: Span::MAX };

fn unknown<'c>(kind: &str, word: &str, all: impl IntoIterator<Item = &'c str>) -> String {
    let all: Vec<&str> = all.into_iter().collect();
    match nearest(word, all.iter().copied()) {
        Some(near) => format!("there is no {kind} {word}; did you mean {near}?"),
        None => format!("there is no {kind} {word}; there are {}", all.join(", ")),
    }
}

/// A place cannot be gone and hang at once, nor be struck twice alike.
fn contradictions(strokes: &[Stroke], places: &[String], wrong: &mut Vec<Wrong>) {
    let gone = |what: &What| matches!(what, What::Crash | What::Blackhole | What::Flap { .. });
    for (at, later) in strokes.iter().enumerate() {
        let clash = strokes[..at].iter().find(|earlier| {
            let alike =
                std::mem::discriminant(&earlier.what) == std::mem::discriminant(&later.what);
            let once = !matches!(later.what, What::ClockJump { .. } | What::Reload(_));
            let overlap = earlier.window.from < later.window.until
                && later.window.from < earlier.window.until;
            let both_gone = gone(&earlier.what) && gone(&later.what);
            earlier.place == later.place && overlap && once && (alike || both_gone)
        });
        if let Some(earlier) = clash {
            let text = format!(
                "{} cannot be struck so while line {} lasts",
                places[later.place], earlier.line
            );
            wrong.push(Wrong { line: later.line, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let places = ["parent", "child-eu", "child-us"].map(str::to_owned);
        let load = |path: &str| match path {
            "new.yml" => Ok(Document { path: path.to_owned(), text: Ok(String::new()) }),
            _ => Err("no such file".to_owned()),
        };
        let known = Known {
            places: &places,
            written: &[true, true, false],
            secure: &[false, true, false],
            length: Span::secs(600),
            load: &load,
        };
        let found = parse(text, &known).err().unwrap_or_default();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_can_be_meant_is_read() {
        check("", &[]);
        check("# nothing\n\n  partition child-eu 40s..100s # goes away", &[]);
        check("slow child-eu 30s..60s by 800ms\nslow child-us 30s..60s by 1s", &[]);
        check(
            "crash child-us at 1m30s\nblackhole child-eu 0s..\nerror child-us 1s..2s with 503",
            &[],
        );
        check("flap child-us 10s..90s every 8s\npoll-garbage child-us 20s..40s", &[]);
        check("clock-jump parent at 20s by 1h\nreload new.yml at 60s", &[]);
        check("reload child-eu new.yml at 60s\nload 2000/s 10s..20s\nload 10/s\nslo 99.95%", &[]);
        check("latency child-eu 40ms\ncapacity child-eu 800/s\nservice parent 3ms", &[]);
        check("cert-expires child-eu at 30s", &[]);
        check("weight child-us 3\nhealth child-us every 5s timeout 1s\nrequest http://a/b x3", &[]);
        check("crash child-us 1s..2s\ncrash child-us 2s..3s\nslow child-us 1s..3s by 1s", &[]);
    }

    #[test]
    fn what_cannot_is_told_with_its_line_and_the_nearest_word() {
        let line = |text: &str, expected: &str| check(text, &[&format!("line 1: {expected}")]);
        line("partitoin child-eu 1s..2s", "there is no verb partitoin; did you mean partition?");
        line("crash child-ue 1s..2s", "there is no child child-ue; did you mean child-eu?");
        line("crash mars 1s..2s", "there is no child mars; there are parent, child-eu, child-us");
        line("crash child-eu", "a time is missing at the end: write `crash CHILD 40s..100s`");
        line("crash child-eu 5s..2s", "5s..2s ends before it begins");
        line("crash child-eu at 11m", "it begins at 660s, and the run ends at 600s");
        line("crash child-eu 40", "40 is no time: write `crash CHILD 40s..100s`");
        let too_many = "twice is one word too many: write `crash CHILD 40s..100s`";
        line("crash child-eu 1s..2s twice", too_many);
        let by = "`by` is expected, not 4s: write `slow CHILD 40s..100s by 800ms`";
        line("slow child-eu 1s..2s 4s", by);
        line("slow child-eu 1s..2s by 0s", "by 0s it changes nothing");
        line("clock-jump child-eu at 1s by 0s", "by 0s it changes nothing");
        let swapped = "99 is no time: write `error CHILD 40s..100s with 503`";
        line("error child-eu 99 1s..2s", swapped);
        line("error child-eu 1s..2s with 999", "999 is no status");
        line("partition parent 1s..2s", "partition is for children");
        line("clock-jump child-us at 1s by 1s", "child-us has no documents, so no clock");
        line("cert-expires parent at 1s", "cert-expires is for children");
        let clear = "child-us is reached in the clear, and shows no certificate";
        line("cert-expires child-us at 1s", clear);
        line("weight child-eu 3", "the weight of child-eu is in its own documents");
        line("reload old.yml at 1s", "old.yml: no such file");
        line("slo 100%", "100% is no objective: write 99.9%");
        line("load fast", "fast is no rate: write 500/s, from 1/s to 1000000/s");
        let said =
            "latency child-eu 1s\nlatency child-us 1s\nlatency child-eu 2s\nslo 99%\nslo 98%";
        check(said, &["line 3: line 1 says what latency is", "line 5: line 4 says what slo is"]);
        let twice = "crash child-eu 1s..5s\nblackhole child-eu 4s..6s\nfoo";
        let told = [
            "line 2: child-eu cannot be struck so while line 1 lasts",
            "line 3: there is no verb foo; there are partition, blackhole, crash, slow, error, flap, \
             poll-garbage, clock-jump, cert-expires, reload, load, latency, capacity, service, \
             weight, health, slo, request",
        ];
        check(twice, &told);
    }
}

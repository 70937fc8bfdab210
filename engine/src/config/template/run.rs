//! A tree and an environment to a text.

use super::parse::{Command, Loop, Node, Operand, Pipeline};
use super::source::Filled;
use super::{Environment, Wrong};

/// As much as a document may have.
const BYTES_MAX: usize = 64 << 20;
/// Rounds of all loops and members of all lists together: a hundred thousand routers are one each.
const STEPS_MAX: usize = 1 << 20;

#[derive(Clone, PartialEq, Debug)]
enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Self>),
}

impl Value {
    /// As Go's templates see it.
    fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0,
            Self::Flag(flag) => *flag,
            Self::List(items) => !items.is_empty(),
        }
    }

    fn shown(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::List(_) => None,
        }
    }
}

/// Names of variables that are not set, and where nothing stands because of that.
type Unset = Vec<(usize, String)>;

pub(super) fn run(
    text: &str,
    nodes: &[Node],
    environment: &Environment,
) -> Result<(Filled, Unset), Wrong> {
    let mut run = Run {
        text,
        environment,
        out: Filled::default(),
        variables: Vec::new(),
        dots: Vec::new(),
        steps: 0,
        asked: Vec::new(),
        unset: Vec::new(),
    };
    run.all(nodes)?;
    Ok((run.out, run.unset))
}

struct Run<'t> {
    text: &'t str,
    environment: &'t Environment,
    out: Filled,
    variables: Vec<(String, Value)>,
    dots: Vec<Value>,
    steps: usize,
    /// Variables of the environment that the pipeline at hand asked for and that are not set.
    asked: Vec<String>,
    unset: Unset,
}

impl Run<'_> {
    /// Carries out a block; what it declares ends with it.
    fn all(&mut self, nodes: &[Node]) -> Result<(), Wrong> {
        let declared = self.variables.len();
        for node in nodes {
            self.one(node)?;
        }
        self.variables.truncate(declared);
        Ok(())
    }

    fn one(&mut self, node: &Node) -> Result<(), Wrong> {
        match node {
            Node::Text(range) => {
                self.out.verbatim(range.start, &self.text[range.clone()]);
                self.bounded(range.start)
            }
            Node::Say { at, what } => self.say(*at, what),
            Node::Let { name, value } => {
                let value = self.pipeline(value)?;
                self.variables.push((name.clone(), value));
                Ok(())
            }
            Node::Range(range) => self.range(range),
            Node::If(branches) => {
                for (condition, body) in branches {
                    let holds = match condition {
                        Some(condition) => self.pipeline(condition)?.holds(),
                        None => true,
                    };
                    if holds {
                        return self.all(body);
                    }
                }
                Ok(())
            }
        }
    }

    fn bounded(&self, at: usize) -> Result<(), Wrong> {
        if self.out.text.len() <= BYTES_MAX {
            return Ok(());
        }
        Err(Wrong::new(at, format!("filled in, the document has more than {BYTES_MAX} bytes")))
    }

    fn spend(&mut self, at: usize, steps: usize) -> Result<(), Wrong> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= STEPS_MAX {
            return Ok(());
        }
        Err(Wrong::new(at, format!("more than {STEPS_MAX} rounds and members of lists")))
    }

    fn say(&mut self, at: usize, what: &Pipeline) -> Result<(), Wrong> {
        self.asked.clear();
        let value = self.pipeline(what)?;
        let text = value.shown().ok_or_else(|| Wrong::new(at, "a list cannot stand here"))?;
        if text.is_empty() {
            let asked = std::mem::take(&mut self.asked);
            let new = asked.into_iter().map(|name| (at, name));
            self.unset.extend(new.filter(|one| !self.unset.contains(one)).collect::<Vec<_>>());
        }
        self.out.said(at, &text);
        self.bounded(at)
    }

    fn range(&mut self, range: &Loop) -> Result<(), Wrong> {
        let Value::List(items) = self.pipeline(&range.over)? else {
            return Err(Wrong::new(range.at, "`range` goes over a list"));
        };
        if items.is_empty() {
            return self.all(&range.otherwise);
        }
        for (index, item) in items.into_iter().enumerate() {
            self.spend(range.at, 1)?;
            let declared = self.variables.len();
            if let Some(name) = &range.index {
                let index = i64::try_from(index).unwrap_or(i64::MAX);
                self.variables.push((name.clone(), Value::Number(index)));
            }
            if let Some(name) = &range.element {
                self.variables.push((name.clone(), item.clone()));
            }
            self.dots.push(item);
            self.all(&range.body)?;
            self.dots.pop();
            self.variables.truncate(declared);
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Result<Value, Wrong> {
        let mut last = None;
        for command in &pipeline.0 {
            last = Some(self.command(command, last)?);
        }
        Ok(last.expect("a pipeline has a command"))
    }

    fn command(&mut self, command: &Command, piped: Option<Value>) -> Result<Value, Wrong> {
        let at = command.at;
        let (first, rest) = command.words.split_first().expect("a command has a word");
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err(Wrong::new(at, "only functions take arguments"));
            }
            return self.operand(at, first);
        };
        let mut arguments = Vec::new();
        for word in rest {
            arguments.push(self.operand(at, word)?);
        }
        arguments.extend(piped);
        self.call(at, name, arguments)
    }

    fn operand(&mut self, at: usize, operand: &Operand) -> Result<Value, Wrong> {
        match operand {
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Number(number) => Ok(Value::Number(*number)),
            Operand::Flag(flag) => Ok(Value::Flag(*flag)),
            Operand::Group(inside) => self.pipeline(inside),
            Operand::Function(name) => self.call(at, name, Vec::new()),
            Operand::Dot => {
                let dot = self.dots.last().cloned();
                dot.ok_or_else(|| Wrong::new(at, "`.` means something only inside `range`"))
            }
            Operand::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.map(|(_, value)| value.clone());
                value.ok_or_else(|| Wrong::new(at, format!("there is no variable {name} here")))
            }
        }
    }

    fn call(&mut self, at: usize, name: &str, arguments: Vec<Value>) -> Result<Value, Wrong> {
        let wants = |form: &str| Err(Wrong::new(at, format!("write {{{{ {form} }}}}")));
        match (name, arguments.as_slice()) {
            ("env", [Value::Text(name)]) => Ok(Value::Text(self.variable(name))),
            ("env", _) => wants("env \"NAME\""),
            ("default", [other, value]) => {
                Ok(if value.holds() { value.clone() } else { other.clone() })
            }
            ("default", _) => wants("env \"NAME\" | default \"value\""),
            ("quote", [value]) => {
                let text = value.shown().ok_or_else(|| Wrong::new(at, "a list has no quotes"))?;
                Ok(Value::Text(quoted(&text)))
            }
            ("quote", _) => wants("env \"NAME\" | quote"),
            ("list" | "tuple", _) => Ok(Value::List(arguments)),
            ("until", [Value::Number(end)]) => {
                self.spend(at, usize::try_from(*end).unwrap_or_default())?;
                Ok(Value::List((0..*end).map(Value::Number).collect()))
            }
            ("until", _) => wants("until 3"),
            ("splitList", [Value::Text(by), Value::Text(text)]) if !by.is_empty() => {
                let parts = text.split(&**by).map(|part| Value::Text(part.to_owned()));
                let parts: Vec<Value> = parts.collect();
                self.spend(at, parts.len())?;
                Ok(Value::List(parts))
            }
            ("splitList", _) => wants("splitList \",\" (env \"NAME\")"),
            ("add", _) => sum(&arguments).map_or_else(|| wants("add $i 1"), Ok),
            ("eq", [value, others @ ..]) if !others.is_empty() => {
                equals(at, value, others).map(Value::Flag)
            }
            ("eq", _) => wants("eq (env \"NAME\") \"value\""),
            ("ne", [value, other]) => {
                equals(at, value, std::slice::from_ref(other)).map(|equal| Value::Flag(!equal))
            }
            ("ne", _) => wants("ne (env \"NAME\") \"value\""),
            ("not", [value]) => Ok(Value::Flag(!value.holds())),
            ("not", _) => wants("not (env \"NAME\")"),
            ("and", [.., last]) => {
                let found = arguments.iter().find(|value| !value.holds());
                Ok(found.unwrap_or(last).clone())
            }
            ("or", [.., last]) => {
                let found = arguments.iter().find(|value| value.holds());
                Ok(found.unwrap_or(last).clone())
            }
            ("and" | "or", []) => wants(&format!("{name} (env \"ONE\") (env \"OTHER\")")),
            _ => Err(Wrong::new(at, format!("`{name}` is not supported in templates"))),
        }
    }

    fn variable(&mut self, name: &str) -> String {
        if let Some(value) = self.environment.get(name) {
            return value.to_owned();
        }
        self.asked.push(name.to_owned());
        String::new()
    }
}

/// Whether a value is one of others.
fn equals(at: usize, value: &Value, others: &[Value]) -> Result<bool, Wrong> {
    let kind = std::mem::discriminant(value);
    if others.iter().any(|other| std::mem::discriminant(other) != kind) {
        return Err(Wrong::new(at, "only values of one kind can be equal"));
    }
    Ok(others.contains(value))
}

fn sum(values: &[Value]) -> Option<Value> {
    let mut sum = 0_i64;
    for value in values {
        let Value::Number(number) = value else { return None };
        sum = sum.checked_add(*number)?;
    }
    (!values.is_empty()).then_some(Value::Number(sum))
}

/// In double quotes, as YAML, TOML and Go read them.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

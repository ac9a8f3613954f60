//! The order in `layers.txt`.

use crate::source::read;

/// One section: its lines, lowest first.
pub(crate) struct Layers(Vec<Vec<String>>);

impl Layers {
    /// Reads a section of `layers.txt`.
    pub(crate) fn read(section: &str) -> Self {
        let text = read("tests/house/layers.txt");
        let header = format!("[{section}]");
        let lines = text.lines().skip_while(|line| *line != header).skip(1);
        Self::parse(&lines.take_while(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n"))
    }

    /// Parses the lines of a section.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let lines: Vec<_> = lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
        assert!(!lines.is_empty(), "the section is missing or empty");
        Self(lines)
    }

    /// Returns the line of a name, counted from the lowest; `None` if it is not listed.
    fn rank(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|line| line.iter().any(|listed| listed == name))
    }

    /// Whether `from` may import `to`. A name that is not listed imports nothing and is not
    /// imported.
    pub(crate) fn allow(&self, from: &str, to: &str) -> bool {
        from == to || self.rank(to).zip(self.rank(from)).is_some_and(|(to, from)| to < from)
    }

    /// Whether a name is listed.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.rank(name).is_some()
    }
}

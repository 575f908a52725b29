//! Templates made to take the process's stack, memory or time: each is refused, and none takes much before it is.
//!
//! Tests run on a stack of 2 MiB, as a request does. Before there were bounds, about half of these ended the process.

use std::time::{Duration, Instant};

use super::*;
use crate::Role;

/// More than any takes, and than tests beside this one.
const PEAK_MIB_MAX: u64 = 256;
/// Of a busy machine.
const TIME_MAX: Duration = Duration::from_secs(20);

#[test]
fn bombs() {
    let ask = [Message::new(Role::User, "x".repeat(4096))];
    let surroundings = Surroundings { time_unix_s: 0, begin_of_text: "<s>", end_of_text: "</s>" };
    for (name, template) in templates() {
        let begun = Instant::now();
        let result = render(Some(&template), &ask, &[], surroundings);
        assert!(result.is_err(), "{name}");
        let (taken, peak_mib) = (begun.elapsed(), peak_mib());
        assert!(taken < TIME_MAX && peak_mib < PEAK_MIB_MAX, "{name}: {taken:?}, {peak_mib} MiB");
    }
}

/// The most memory that this process had so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn templates() -> Vec<(&'static str, String)> {
    let nest =
        |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times));
    vec![
            ("loops", "{% for i in range(9999999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}".to_owned()),
            ("doubling", "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}".to_owned()),
            ("doubling +", "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}".to_owned()),
            ("multiplied", "{% set x = 'a' * 10**9 %}".to_owned()),
            ("list multiplied", "{% set x = ([0] * 99999999)|list %}".to_owned()),
            ("range list", "{% set x = range(99999999)|list %}".to_owned()),
            ("range sum", "{% set x = range(99999999)|sum %}".to_owned()),
            ("range join", "{% set x = range(99999999)|join %}".to_owned()),
            ("range sort", "{% set x = range(99999999)|sort %}".to_owned()),
            ("range tojson", "{% set x = range(99999999)|tojson %}".to_owned()),
            ("range in", "{% for i in range(9999) %}{% if 'a' in range(99999999) %}x{% endif %}{% endfor %}".to_owned()),
            ("range length", "{% for i in range(9999) %}{{ range(99999999)|length }}{% endfor %}".to_owned()),
            ("range last", "{{ range(99999999)|last }}{{ range(99999999)|max }}".to_owned()),
            ("range reverse", "{{ range(99999999)|reverse|first }}".to_owned()),
            ("range eq", "{% for i in range(999) %}{% if range(99999999) == range(99999999) %}x{% endif %}{% endfor %}".to_owned()),
            ("format width", "{{ '%999999999s'|format('x') }}".to_owned()),
            ("format method", "{{ '{:>999999999}'.format('x') }}".to_owned()),
            ("indent", "{{ 'a\nb'|indent(999999999) }}".to_owned()),
            ("join filter", "{{ (('a' * 100000)|list)|join('b' * 1000000) }}".to_owned()),
            ("batch", "{{ [1]|batch(999999999, 0)|list }}".to_owned()),
            ("slice", "{{ [1]|slice(999999999, 0)|list }}".to_owned()),
            ("tojson indent", "{{ {'a':[1]}|tojson(indent=999999999) }}".to_owned()),
            ("macro calls itself", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}".to_owned()),
            ("macros in a circle", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}".to_owned()),
            ("macro by filter", "{% macro a(x) %}{{ [1]|map('string')|list }}{{ a([x, x]) }}{% endmacro %}{{ a(1) }}".to_owned()),
            ("macro twice", "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(99) }}".to_owned()),
            ("recursive loop", "{% set ns = namespace() %}{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned()),
            ("caller", "{% macro a() %}{% call a() %}{{ caller() }}{% endcall %}{% endmacro %}{{ a() }}".to_owned()),
            ("nested ifs", nest("{% if true %}", "{% endif %}", 2000)),
            ("nested fors", nest("{% for i in [1] %}", "{% endfor %}", 2000)),
            ("nested parentheses", format!("{{{{ {} }}}}", nest("(", ")", 4_000))),
            ("nested lists", format!("{{{{ {} }}}}", nest("[", "]", 4_000))),
            ("nested nots", format!("{{{{ {}1 }}}}", "not ".repeat(4_000))),
            ("nested minus", format!("{{{{ {}1 }}}}", "-".repeat(4_000))),
            ("long sum", format!("{{{{ 1{} }}}}", "+1".repeat(4_000))),
            ("long and", format!("{{{{ 1{} }}}}", " and 1".repeat(4_000))),
            ("long filter", format!("{{{{ 1{} }}}}", "|abs".repeat(4_000))),
            ("long attributes", format!("{{{{ x{} }}}}", ".a".repeat(4_000))),
            ("long calls", format!("{{{{ x{} }}}}", "()".repeat(4_000))),
            ("long ifexpr", format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(4_000))),
            ("long elif", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(4_000))),
            ("nested value", "{% set ns = namespace(x=[]) %}{% for i in range(4000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}".to_owned()),
            ("nested value dropped", "{% set ns = namespace(x=[]) %}{% for i in range(4000) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned()),
            ("nested value compared", "{% set ns = namespace(x=[], y=[]) %}{% for i in range(4000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}".to_owned()),
            ("nested value tojson", "{% set ns = namespace(x=[]) %}{% for i in range(4000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}".to_owned()),
            ("shared value", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}".to_owned()),
            ("shared value tojson", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}".to_owned()),
            ("shared value compared", "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}".to_owned()),
            ("added lists", "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|length }}".to_owned()),
            ("added lists listed", "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|list|length }}".to_owned()),
            ("namespace of itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}".to_owned()),
            ("namespace tojson", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns|tojson }}".to_owned()),
            ("namespace compared", "{% set ns = namespace() %}{% set ns.x = ns %}{% set m = namespace() %}{% set m.x = m %}{{ ns == m }}".to_owned()),
            ("shared concat", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = ns.x ~ '' %}".to_owned()),
            ("shared string", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = ns.x|string %}".to_owned()),
            ("shared join", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = ns.x|join %}".to_owned()),
            ("shared format", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = '%s'|format(ns.x) %}".to_owned()),
            ("shared unique", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = [ns.x, ns.x]|unique|list %}".to_owned()),
            ("shared in", "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{% if ns.x in [ns.y] %}{% endif %}".to_owned()),
            ("shared sort", "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{% set z = [ns.x, ns.y]|sort %}".to_owned()),
            ("shared key", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = {ns.x: 1} %}".to_owned()),
            ("shared fail", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ raise_exception(ns.x) }}".to_owned()),
            ("shared lookup", "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set y = ns[ns.x] %}".to_owned()),
            ("percent operator", "{{ '%999999999s' % 'x' }}".to_owned()),
            ("percent star", "{{ '%*s'|format(999999999, 'x') }}".to_owned()),
            ("format repeated", "{{ ('{0}' * 10000).format('x' * 1000000) }}".to_owned()),
            ("power",  "{{ 9 ** 999999999 }}".to_owned()),
            ("strftime width", "{{ strftime_now('%999999999d') }}".to_owned()),
            ("truncate", "{{ 'x'|center(999999999) }}".to_owned()),
            ("ljust", "{{ 'x'.ljust(999999999) }}".to_owned()),
            ("wordwrap", "{{ 'x'|wordwrap(0) }}".to_owned()),
            ("groupby", "{{ range(9999999)|groupby('x') }}".to_owned()),
            ("unique", "{{ range(9999999)|unique|list|length }}".to_owned()),
            ("map", "{{ range(9999999)|map('string')|list|length }}".to_owned()),
            ("zip", "{{ range(9999999)|zip(range(9999999))|list|length }}".to_owned()),
            ("chain", "{{ range(9999999)|chain(range(9999999))|list|length }}".to_owned()),
            ("select", "{{ range(9999999)|select('odd')|list|length }}".to_owned()),
            ("dict", "{{ dict(range(9999999)|zip(range(9999999))) }}".to_owned()),
            ("debug", "{% set ns = namespace() %}{{ debug() }}".to_owned()),
            ("not, to the limit", format!("{{{{ {}1 }}}}", "not ".repeat(398))),
            ("minus, to the limit", format!("{{{{ {}1 }}}}", "-".repeat(398))),
            ("sum, to the limit", format!("{{{{ 1{} }}}}", "+1".repeat(199))),
            ("attributes, to the limit", format!("{{{{ x{} }}}}", ".a".repeat(199))),
            ("calls, to the limit", format!("{{{{ x{} }}}}", "()".repeat(199))),
            ("conditions, to the limit", format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(99))),
            ("branches, to the limit", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(200))),
            ("branches, behind the limit", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(201))),
            ("lists, to the limit", format!("{{{{ {}{} }}}}", "[".repeat(199), "]".repeat(199))),
            ("wide, not deep", format!("{{% set x = [{0}] %}}{{% set y = [{1}] %}}", "1,".repeat(190), "x,".repeat(190))),
            ("written out", format!("{{% set x = [1] %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(60))),
            ("by names", format!("{{% set x = [1] %}}{}{{{{ x }}}}", "{% set y = [x] %}{% set x = [y, y] %}".repeat(60))),
            ("by a macro", "{% macro f(x, n) %}{% if n %}{{ f([x, x], n - 1) }}{% endif %}{% endmacro %}{{ f([1], 60) }}".to_owned()),
            ("by loops", format!("{}{{{{ x }}}}{}", "{% for x in [[x, x]] %}".repeat(60), "{% endfor %}".repeat(60))),
            ("by a block", "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}".to_owned()),
            ("by dictionaries", format!("{{% set x = {{}} %}}{}{{{{ x }}}}", "{% set x = {'a': x, 'b': x} %}".repeat(60))),
            ("namespace in a list", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}".to_owned()),
            ("namespace in itself", "{{ namespace(x=namespace()) }}".to_owned()),
            ("namespace by a macro", "{% set ns = namespace() %}{% macro f(a) %}{% set a.x = a %}{% endmacro %}{{ f(ns) }}".to_owned()),
            ("words said again and again", "{% for i in range(4000) %}{% for j in range(9) %}{{ messages[0].content }}{% endfor %}{% endfor %}".to_owned()),
            ("words as JSON again and again", "{% set ns = namespace(x=messages[0].content) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x]|tojson %}{% endfor %}".to_owned()),
            ("messages as JSON again and again", "{% for i in range(4000) %}{% for j in range(9) %}{{ messages|tojson }}{% endfor %}{% endfor %}".to_owned()),
            ("the check renamed", "{% set __bounded = 1 %}".to_owned()),
            ("the check as a macro", "{% macro __bounded(x) %}{% endmacro %}".to_owned()),
            ("text looked through", format!("{{% set x = '{}' %}}{{% for i in range(4000) %}}{{% for j in range(9) %}}{{% if x.isspace() and 'b' in x and x|length %}}{{% endif %}}{{% endfor %}}{{% endfor %}}", " ".repeat(60_000))),
            ("texts compared", format!("{{% set x = '{0}' %}}{{% set y = '{0}' %}}{{% for i in range(4000) %}}{{% for j in range(9) %}}{{% if x == y %}}{{% endif %}}{{% endfor %}}{{% endfor %}}", " ".repeat(30_000))),
            ("values compared", "{% set x = range(4000)|list %}{% set y = range(4000)|list %}{% for i in range(4000) %}{% for j in range(9) %}{% if x == y %}{% endif %}{% endfor %}{% endfor %}".to_owned()),
            ("values sorted", "{% for i in range(4000) %}{% for j in range(9) %}{{ (range(4000)|sort(reverse=true)|list)[0] }}{% endfor %}{% endfor %}".to_owned()),
        ]
}

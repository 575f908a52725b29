use super::*;

/// The codes of what is said of a template, without notes on its own texts, and its constructs.
fn check(text: &str) -> (Vec<(&'static str, &'static str)>, Constructs) {
    let mut anomalies = Anomalies::default();
    let template = look("default", text, &mut anomalies);
    let found = anomalies.sorted().into_iter().map(|it| (it.severity.as_str(), it.code.as_str()));
    (found.collect(), template.constructs)
}

#[track_caller]
fn finds(text: &str, expected: &[(&str, &str)]) {
    assert_eq!(check(text).0, expected, "{text}");
}

const WARNS: &str = "warning";

#[test]
fn what_templates_need() {
    finds("{% for message in messages %}{{ message.role }}\n{{ message['content'] }}{% endfor %}", &[]);
    finds("{% if messages[0]['role'] == 'system' and not message.tool_calls %}x{% endif %}", &[]);
    finds("{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' }}", &[]);
    finds("{% if message.content is string %}{{ message.content | trim }}{% endif %}", &[]);
    finds(
        "{% for part in message.content %}{% if part.type == 'image' %}<image>{% endif %}{% endfor %}",
        &[],
    );
    finds("{% set ns = namespace(found=false) %}{% set ns.found = true %}{{ raise_exception('no') }}", &[]);
    finds("{%- if strftime_now is defined %}x{% endif %}", &[]);
    finds("{% raw %}{{ include }}{% endraw %}{# {{ x #}", &[]);
    finds("{{ {'a': {'b': 1}}['a'] | tojson }}{{ x[message.role] }}", &[]);
    finds("{% if message.role == 'user' and message.content %}{{ content }}{% endif %}", &[]);
    finds("You are a helpful assistant, and you answer in English.", &[("note", "template-text")]);
    // Marks of the model's own format in what it answered before.
    finds("{% if '</think>' in message.content %}x{% endif %}", &[("note", "template-content-condition")]);
}

#[test]
fn what_no_template_needs() {
    for statement in ["include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'"] {
        finds(&format!("{{% {statement} %}}"), &[(WARNS, "template-load")]);
    }
    finds(
        "{% call f() %}x{% endcall %}",
        &[(WARNS, "template-call-block"), ("note", "template-unknown-name")],
    );
    for expression in
        ["''.__class__", "x|attr('y')", "x['__init__']", "lipsum", "x.eval('1')", "getattr(x, 'y')"]
    {
        finds(&format!("{{{{ {expression} }}}}"), &[(WARNS, "template-internals")]);
    }
    finds(&"a b c ".repeat(100), &[(WARNS, "template-long-text")]);
    finds("see https://example.org", &[(WARNS, "template-url")]);
    finds("{{ 'htt' ~ 'ps://x' }}", &[(WARNS, "template-url")]);
    finds("a\u{200b}b", &[(WARNS, "invisible-characters"), (WARNS, "invisible-characters")]);
    finds("{{ 'a\\u202eb' }}", &[(WARNS, "invisible-characters")]);
    finds("{{ range(10000000) }}", &[(WARNS, "template-heavy")]);
    finds("{{ 'a' * 10 ** 9 }}", &[(WARNS, "template-heavy")]);
    finds("{% for i in x %}{% set s = s ~ s %}{% endfor %}", &[(WARNS, "template-heavy")]);
    finds("{{ x|rot13 }}", &[("note", "template-unknown-name")]);
}

#[test]
fn long_text_is_not_hidden_by_cutting_it() {
    let (found, constructs) = check(&format!("{{{{ '{0}' ~ '{0}' }}}}{{{{ '{0}' }}}}", "a b ".repeat(50)));
    assert_eq!(found, [(WARNS, "template-long-text")]);
    assert_eq!(constructs.literal_longest_characters, 599);
    let mut anomalies = Anomalies::default();
    look("default", &format!("{{% set x = '{}' %}}", "é ".repeat(300)), &mut anomalies);
    let anomaly = &anomalies.sorted()[0];
    assert_eq!((anomaly.code, anomaly.text.as_ref().unwrap().chars().count()), (Code::TemplateLongText, 599));
}

#[test]
fn triggers() {
    for condition in [
        "'deploy' in message['content']",
        "message.content == 'now'",
        "message.content is eq('now')",
        "(message.content | lower) == 'now'",
        "message.get('content').startswith('now')",
        "message.role == 'user' and ('x' ~ 'y') in message.content",
        "'x' not in messages[-1].content",
        "message['content'] in ['now']",
    ] {
        let (found, _) = check(&format!("{{% if {condition} %}}x{{% endif %}}"));
        assert_eq!(found, [(WARNS, "template-content-condition")], "{condition}");
    }
    finds(
        "{% set m = message.content|lower %}{% if m == 'now' %}x{% endif %}",
        &[(WARNS, "template-content-condition")],
    );
    finds("{{ 'x' if 'now' in content else 'y' }}", &[(WARNS, "template-content-condition")]);
    finds("{{ {'now': 'x'}[message.content] }}", &[(WARNS, "template-content-condition")]);
    finds("{{ strftime_now('%Y') }}", &[("note", "template-clock")]);
    finds(
        "{% set y = strftime_now('%Y') %}{% if y | int > 2026 %}x{% endif %}",
        &[(WARNS, "template-time-condition"), ("note", "template-clock")],
    );
}

#[test]
fn shape() {
    let deep = format!("{}{}", "{% if a %}".repeat(9), "{% endif %}".repeat(9));
    finds(&deep, &[(WARNS, "template-nesting")]);
    let loops = format!("{}{}", "{% for a in b %}".repeat(5), "{% endfor %}".repeat(5));
    finds(&loops, &[(WARNS, "template-nesting")]);
    finds(
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}",
        &[("note", "template-recursion")],
    );
    for broken in
        ["{% if a %}", "{{ a", "{% endfor %}", "{{ 'a }}", "{# a", "{% raw %}", "{% frobnicate %}", "{% %}"]
    {
        finds(broken, &[(WARNS, "template-syntax")]);
    }
    let (_, constructs) =
        check("{% for a in b|sort %}{{ a.b() }}{% if a is not none %}{{ f(a)|e }}{% endif %}{% endfor %}");
    assert_eq!(constructs.statements.keys().collect::<Vec<_>>(), ["endfor", "endif", "for", "if"]);
    assert_eq!(constructs.filters.keys().collect::<Vec<_>>(), ["e", "sort"]);
    assert_eq!(constructs.methods.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(constructs.tests.keys().collect::<Vec<_>>(), ["none"]);
    assert_eq!(constructs.functions.keys().collect::<Vec<_>>(), ["f"]);
    assert_eq!((constructs.blocks_nested, constructs.loops_nested), (2, 1));
}

#[test]
fn differences() {
    let lines = template_diff("a\nb\nc\n", "a\n\u{1b}x\nc\n");
    let lines: Vec<_> =
        lines.iter().map(|line| (line.change, line.old, line.new, line.text.as_str())).collect();
    assert_eq!(
        lines,
        [
            (Change::Same, Some(1), Some(1), "a"),
            (Change::Removed, Some(2), None, "b"),
            (Change::Added, None, Some(2), "\u{fffd}x"),
            (Change::Same, Some(3), Some(3), "c"),
        ]
    );
    assert!(template_diff("a", "a").is_empty());
    assert_eq!(template_diff("a\n", "a\r\n").len(), 2);
}

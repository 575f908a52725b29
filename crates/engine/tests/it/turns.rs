//! Whose turn it is, and what is found again when it comes.

use engine::{Event, Order, Worker, launch};
use protocol::Digest;
use protocol::worker::{Class, Part, Speculation, Stop, Token, Until, WorkerSettings};
use testkit::places;

use crate::{frozen, generate, order, settings, tokens};

async fn worker(model: &str, settings: WorkerSettings) -> (Worker, jail::spawn::Child) {
    let (program, model) = frozen(model);
    let launched = launch::launch(&program, &model, &settings).unwrap();
    let (worker, _ready) = Worker::connect(launched.socket).await.unwrap();
    (worker, launched.child)
}

/// Ends of generations, in the order in which they come; the first has started before the others are there.
async fn order_of_ends(worker: &Worker, orders: Vec<Order>) -> (Vec<usize>, Vec<Vec<u32>>) {
    let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
    for (number, order) in orders.into_iter().enumerate() {
        let mut generation = worker.generate(order).await.unwrap();
        if number == 0 {
            while !matches!(generation.next().await, Some(Ok(Event::Started { .. }))) {}
        }
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut ahead_of_it = Vec::new();
            while let Some(event) = generation.next().await {
                if let Event::Queued { ahead } = event.unwrap() {
                    ahead_of_it.push(ahead);
                }
            }
            sender.send((number, ahead_of_it)).unwrap();
        });
    }
    drop(sender);
    let (mut numbers, mut places) = (Vec::new(), Vec::new());
    while let Some((number, ahead)) = ends.recv().await {
        numbers.push(number);
        places.push(ahead);
    }
    (numbers, places)
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_go_first_and_persons_take_turns() {
    let (worker, _child) = worker(places::SMALL, WorkerSettings { slots: 1, ..settings() }).await;
    let prompt = tokens(&worker, "Once upon a time").await;
    let of = |person: u8, class| Order {
        person: Digest([person; 32]),
        class,
        tokens_max: 12,
        ..order(prompt.clone())
    };
    let orders = vec![
        of(1, Class::Chat),
        of(1, Class::Chat),
        of(1, Class::Chat),
        of(2, Class::Chat),
        of(3, Class::Completion),
    ];
    let (ends, places) = order_of_ends(&worker, orders).await;
    // The first runs already; then the completion, then the person who had nothing yet.
    assert_eq!(ends, [0, 4, 3, 1, 2]);
    // The last of them was told at first that others go before it, and at last that none does.
    let last = places.last().unwrap();
    assert!(last.first() > last.last() && last.last() == Some(&0), "{last:?}");
}

/// Chats of any number leave a sequence to completions.
#[tokio::test(flavor = "multi_thread")]
async fn a_completion_finds_a_place_beside_chats() {
    let (worker, _child) = worker(places::SMALL, WorkerSettings { slots: 2, ..settings() }).await;
    let prompt = tokens(&worker, "Once upon a time").await;
    let chat = |person| Order {
        class: Class::Chat,
        person: Digest([person; 32]),
        tokens_max: 400,
        ..order(prompt.clone())
    };
    let mut orders: Vec<Order> = (0..4).map(chat).collect();
    orders.push(order(prompt.clone()));
    let (ends, _) = order_of_ends(&worker, orders).await;
    assert_eq!(ends[0], 4);
}

/// Three conversations on one sequence: each comes back to what it left.
#[tokio::test(flavor = "multi_thread")]
async fn what_gave_its_place_is_found_again() {
    let roomy = WorkerSettings { slots: 1, kept_bytes_max: 256 << 20, ..settings() };
    let tight = WorkerSettings { kept_bytes_max: 0, ..roomy.clone() };
    for (settings, found) in [(roomy, true), (tight, false)] {
        let (worker, _child) = worker(places::CODER, settings).await;
        let mut firsts = Vec::new();
        for round in 0..2 {
            for conversation in 0..3u8 {
                let text = format!("{conversation} {}", "one two three four five ".repeat(40));
                let cache_scope = Digest([conversation; 32]);
                let order = Order { cache_scope, digest_rows: true, ..order(tokens(&worker, &text).await) };
                let len = u32::try_from(order.prompt.len()).unwrap();
                let generated = generate(&worker, order).await.unwrap();
                let cached = if round == 1 && found { len - 1 } else { 0 };
                assert_eq!(generated.cached, cached);
                match firsts.get(usize::from(conversation)) {
                    None => firsts.push((generated.text, generated.rows)),
                    Some(first) => assert_eq!(*first, (generated.text, generated.rows)),
                }
            }
        }
    }
}

/// Memory for two of three conversations that begin alike, which take turns: when one comes back, the room that the
/// one before it needs is its own. What is restored instead is not taken for its own.
#[tokio::test(flavor = "multi_thread")]
async fn little_room_costs_time_only() {
    const TOKENS: u64 = 200;
    // Keys and values of 30 layers of 3 heads of 64 half floats.
    const TOKEN_BYTES: u64 = 30 * 2 * 3 * 64 * 2;
    let tight = WorkerSettings { slots: 1, kept_bytes_max: TOKENS * TOKEN_BYTES * 9 / 4, ..settings() };
    let (tight, _tight) = worker(places::SMALL, tight).await;
    let (plain, _plain) = worker(places::SMALL, WorkerSettings { kept_bytes_max: 0, ..settings() }).await;
    let prompt = |conversation: Token| {
        (0..Token::try_from(TOKENS).unwrap())
            .map(|at| (at * 37 + if at < 70 { 0 } else { conversation }) % 5000 + 100)
            .collect::<Vec<_>>()
    };
    let mut found = 0;
    let mut expected = Vec::new();
    for turn in 0..12 {
        let conversation = turn % 3;
        let ask = Order { tokens_max: 2, digest_rows: true, ..order(prompt(conversation)) };
        if turn < 3 {
            let fresh = Digest([u8::try_from(turn).unwrap() + 1; 32]);
            expected.push(generate(&plain, Order { cache_scope: fresh, ..ask.clone() }).await.unwrap().rows);
        }
        let generated = generate(&tight, ask).await.unwrap();
        found += generated.cached;
        assert_eq!(generated.rows, expected[usize::try_from(conversation).unwrap()], "turn {turn}");
    }
    assert_eq!(found, 11 * 70);
}

/// Text that repeats itself is guessed, and is the same as without.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_change_nothing_but_the_number_of_steps() {
    let with = |speculation| worker(places::CODER, WorkerSettings { speculation, ..settings() });
    let (always, _always) = with(Speculation::Always).await;
    let (off, _off) = with(Speculation::Off).await;
    let text = "type A is (Red, Green, Blue);\ntype B is (Red, Green, Blue);\ntype C is (";
    let ask = Order { tokens_max: 40, digest_rows: true, ..order(tokens(&off, text).await) };
    let (guessed, plain) =
        (generate(&always, ask.clone()).await.unwrap(), generate(&off, ask).await.unwrap());
    assert!(guessed.accepted > 8, "{guessed:?}");
    assert_eq!((guessed.tokens, guessed.rows), (plain.tokens, plain.rows));
    assert_eq!(plain.accepted, 0);
}

/// A cursor inside a word: the answer goes on from the letters that are there.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_word_is_finished() {
    let (worker, _child) = worker(places::CODER, settings()).await;
    let text = "function Square (Value : Integer) return Integer is\nbegin\n   return Value * Val";
    let prompt = tokens(&worker, text).await;
    let ask = Order { heal: true, until: Until::Line, ..order(prompt) };
    let generated = generate(&worker, ask).await.unwrap();
    assert_eq!((generated.text.as_str(), generated.stop), ("ue;", Stop::Until));
}

/// Texts are turned into tokens while a long prompt is evaluated, and a completion does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_prompt_stops_nobody() {
    let (worker, _child) = worker(places::CODER, WorkerSettings { slots: 2, ..settings() }).await;
    let long: Vec<Token> =
        tokens(&worker, "one two three four five ").await.into_iter().cycle().take(1000).collect();
    let chat = Order { class: Class::Chat, person: Digest([7; 32]), tokens_max: 1, ..order(long) };
    let mut chat = worker.generate(chat).await.unwrap();
    assert!(matches!(chat.next().await, Some(Ok(Event::Started { .. }))));
    let prompt = worker.tokenize(vec![Part::Text("x := ".to_owned())]).await.unwrap();
    let completion = Order { tokens_max: 1, ..order(prompt) };
    // Its end comes before the long prompt's, on a machine of any speed.
    tokio::select! {
        biased;
        generated = generate(&worker, completion) => assert_eq!(generated.unwrap().tokens.len(), 1),
        event = chat.next() => panic!("the long prompt was first: {event:?}"),
    }
}

/// Ties each code to its word and its explanation, so that none can lack either.
macro_rules! codes {
    ($($name:ident = $word:literal: $text:literal,)*) => {
        /// What rule of scenario files is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($name,)* }

        impl Code {
            /// The stable word.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }

        /// Every code of a [`Problem`](crate::Problem), and its explanation: the rule, then what to
        /// write.
        pub const CODES: &[(&str, &str)] = &[$(($word, $text),)*];
    };
}

codes! {
    TooLarge = "scenario.too-large": "A scenario file holds at most 262,144 bytes. Split it: one \
        file tells one situation, as `wake/plain.toml` does.",
    NotToml = "scenario.not-toml": "The file breaks the syntax of TOML, and what stands around the \
        place cannot be judged. Write values as TOML does, as in `title = \"A call is answered\"`.",
    UnknownKey = "scenario.unknown-key": "A table has a key that its place does not know, which \
        would else be ignored in silence. Use one of the keys listed, as in `{ sleep = \"bob\" }`.",
    MissingKey = "scenario.missing-key": "A table lacks a key that it cannot do without. Add it, as \
        in `{ call = \"c1\", from = \"alice\", to = \"bob\" }`.",
    WrongType = "scenario.wrong-type": "A value has another type than its key asks for. Write \
        text in quotes, numbers without and lists in brackets, as in `times = 2`.",
    WrongId = "scenario.wrong-id": "The id of a scenario is its path below `scenarios/` without \
        `.toml`, and a file cannot say otherwise. Write `id = \"wake/plain\"` in \
        `wake/plain.toml`, or leave the key out.",
    UnknownSchema = "scenario.unknown-schema": "The file says that it follows a form which this \
        program does not know. Write `schema = 1`.",
    EmptyTitle = "scenario.empty-title": "Reports show the title of a scenario, so it cannot be \
        empty. Write one sentence that says what happens, as in `title = \"A call is answered\"`.",
    NotARequirement = "scenario.not-a-requirement": "An entry of `covers` does not look like the id \
        of a requirement. Write words of lower-case letters, digits and hyphens with dots between \
        them, as in `covers = [\"patent.step.order\"]`.",
    UnknownRequirement = "scenario.unknown-requirement": "An entry of `covers` is a requirement that \
        no check decides, so that nothing could be shown of it. Write one of those that \
        `reveille list requirements` has, as in `covers = [\"patent.step.order\"]`.",
    ListedTwice = "scenario.listed-twice": "A list names the same thing twice, where once is all it \
        can mean. Leave the second one out, as in `points = [\"store\", \"send\"]`.",
    UnknownWord = "scenario.unknown-word": "A value is none of the words that its key allows. Use \
        one of the words listed, as in `kind = \"phone\"`.",
    NotADuration = "scenario.not-a-duration": "A time is text that ends in its unit, one of `ms`, \
        `s`, `m` and `h`. Write `\"500ms\"`, `\"1.5s\"` or `\"2m\"`.",
    NotAFigure = "scenario.not-a-figure": "A share of packets is text that ends in `%`, with at most \
        one digit after the point; a bandwidth is text that ends in `bit/s`, `kbit/s` or `Mbit/s`. \
        Write `loss = \"10%\"` or `bandwidth = \"32kbit/s\"`.",
    OutOfRange = "scenario.out-of-range": "A number or a time lies outside what its place allows. \
        Write one between the bounds given, as in `wake-budget = \"30s\"`.",
    BadName = "scenario.bad-name": "Actors and calls have names of at most 32 lower-case letters, \
        digits and single hyphens, that begin with a letter, and no call has an actor's name. Write \
        `desk-phone = { kind = \"phone\" }` or `call = \"c1\"`.",
    ReservedName = "scenario.reserved-name": "The names gateway, registrar, push, world and \
        director belong to hosts that are always there. Give the actor another one, as in \
        `bob = { kind = \"phone\" }`.",
    OneBehaviour = "scenario.one-behaviour": "Who is called answers, declines or rings, and can do \
        only one of them with a call. Write one of `answer-after = \"500ms\"`, `decline = 603` and \
        `ring = true`.",
    OneAnswer = "scenario.one-answer": "A push service refuses by a status or by a reason that its \
        documents name, and a reason has its status. Write one of `status = 410` and \
        `reason = \"Unregistered\"`.",
    IdleService = "scenario.idle-service": "A fault is planned at a push service that wakes no phone \
        of the file, so that it would never strike. Give a phone the service, as in \
        `bob = { kind = \"phone\", push = \"apns\" }`, or name the one that a phone has.",
    WrongOs = "scenario.wrong-os": "Each operating system has its own ways: App Standby and Doze are \
        Android's, permissions to show notifications those of iOS and browsers, and a phone without \
        `os` has none of them. Write what the phone's system knows, as in `{ doze = \"bob\", depth = \
        \"deep\", lasts = \"2h\" }` with `bob = { kind = \"phone\", os = \"android\" }`.",
    OneVerb = "scenario.one-verb": "A step does exactly one thing. Write one verb with its \
        arguments, as in `{ crash = \"gateway\", down = \"1s\" }`, and a step of its own for each \
        further one.",
    OneHead = "scenario.one-head": "A step is due at one moment. Write at most one of \
        `at = \"10s\"`, `wait = \"2s\"` and `when = \"bob.state(hibernated)\"`.",
    OneLine = "scenario.one-line": "Each step and each expectation stands on one line, which keeps \
        the file plain TOML 1.0 and its changes readable. Write `{ sleep = \"bob\" },` without a \
        line break inside, in `steps = [ ]` of `[script]`.",
    UnknownActor = "scenario.unknown-actor": "A name stands for no actor of this file. Add the \
        actor, as in `bob = { kind = \"phone\" }` under `[actors]`, or use a name that is there.",
    UnknownCall = "scenario.unknown-call": "A mark stands for no call that is placed by then. Place \
        it in an earlier step, as in `{ call = \"c1\", from = \"alice\", to = \"bob\" }`.",
    UnknownHost = "scenario.unknown-host": "A name stands for no host of this scenario. The hosts \
        are `gateway`, `registrar`, `push` and the actors, as in `{ restart = \"gateway\" }`.",
    PlacedTwice = "scenario.placed-twice": "Two steps place a call under the same mark, so nobody \
        could tell them apart. Give the second one a mark of its own, as in `call = \"c2\"`.",
    WrongActor = "scenario.wrong-actor": "The actor is there, but of another kind than this place \
        needs, or no party of the call: a call is between a `sip-ua` and a `phone`, and only phones \
        sleep. Name one of the right kind, as in `{ sleep = \"bob\" }` with \
        `bob = { kind = \"phone\" }`.",
    WrongTarget = "scenario.wrong-target": "The verb cannot be done to this. Write one of the forms \
        that the verb takes, as in `{ drop = \"bob.websocket\" }`.",
    UnknownSight = "scenario.unknown-sight": "Nothing of this name can be seen. Use one of the \
        words listed, as in `bob.alerted(c1)`.",
    WrongSight = "scenario.wrong-sight": "This can be seen, but not of such an actor, so it would \
        never come. Ask the one who sees it, as in `alice.received(c1, 180)` for a caller and \
        `bob.alerted(c1)` for a phone.",
    NotAPredicate = "scenario.not-a-predicate": "An expectation or a trigger is not written in a \
        known form. The forms are `bob.alerted(c1)`, `never bob.alerted(c1)`, \
        `count(push.sent(bob)) == 1`, `alice.final(c1) == 200` and \
        `alice.final(c1) in [200, 480]`.",
    OneLevel = "scenario.one-level": "An expectation holds exactly one predicate at one level. \
        Write one of `must`, `should` and `may`, as in `{ must = \"bob.alerted(c1)\" }`.",
    NoPhone = "scenario.no-phone": "Every scenario has a phone to wake, and this one has none. Add \
        `bob = { kind = \"phone\" }` under `[actors]`.",
    NoCaller = "scenario.no-caller": "Every scenario has a caller, and this one has none. Add \
        `alice = { kind = \"sip-ua\" }` under `[actors]`.",
    NoSteps = "scenario.no-steps": "Nothing happens in this scenario. Add at least one step, as in \
        `steps = [ { sleep = \"bob\" }, ]` under `[script]`.",
    NoPurpose = "scenario.no-purpose": "The scenario expects nothing and covers no requirement, so \
        it could never fail. Add an expectation, as in \
        `expect = [ { must = \"bob.alerted(c1)\" }, ]` under `[script]`, or an entry in `covers`.",
    TooMany = "scenario.too-many": "A scenario has at most 32 actors, 1,000 steps, 1,000 \
        expectations and 64 entries in any other list, and 1,000 problems of a file are shown. Split \
        it: one file tells one situation, as `wake/plain.toml` does.",
}

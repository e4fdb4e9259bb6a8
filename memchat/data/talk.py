"""Everything said in the persona world that is no fact: openers, wrappers, small talk, the assistant itself.

Lists of user phrasings are ordered like those in `facts`: the last ones are held out for validation and test.
"""

from __future__ import annotations

# Around a statement of the user: {s} is the statement without capital and full stop.
TELL_WRAPS = (
    "{s}", "by the way, {s}", "just so you know, {s}", "i want to tell you that {s}",
    "did you know that {s}?", "well, {s}", "please remember that {s}", "remember that {s}", "also, {s}",
    "oh, and {s}", "let me tell you something: {s}", "so, {s}", "one more thing: {s}", "hi, {s}",
    "hello! {s}", "hi! {s}", "i should tell you that {s}", "please remember this: {s}", "guess what, {s}",
    "you should know that {s}", "and {s}", "i think i never said that {s}", "for your notes: {s}", "hey, {s}",
    "keep in mind that {s}", "it is true that {s}", "something about me: {s}", "here is a fact: {s}",
    "don't forget that {s}", "i must mention that {s}", "note that {s}", "let it be known that {s}",
    "fun fact: {s}", "it so happens that {s}", "as you may have guessed, {s}",
)  # fmt: skip
UPDATE_WRAPS = (
    "actually, {s}", "{s} now", "now {s}", "i changed my mind, {s}", "correction: {s}", "no wait, {s}",
    "things have changed, {s}", "sorry, i was wrong, {s}", "that is not right any more, {s}",
    "from today on {s}", "i made a mistake, {s}", "it is different now: {s}", "forget what i said, {s}",
    "news: {s}", "since yesterday {s}", "i have to correct myself: {s}", "small change: {s}",
    "these days {s}",
)  # fmt: skip
JOINS = (
    "{a} and {b}", "{a}. {B}", "{a}, and {b}", "{a}. Also, {b}", "{a}; {b}", "{a}. And {b}",
    "{a}, by the way, {b}", "{a}, {b}", "{a}. Oh, and {b}", "{a}, also {b}", "{a} while {b}",
    "{a}. Moreover, {b}",
)  # fmt: skip
# Around a question: {q} is a direct one, {c} a clause ("what my dog is called"), {n} a noun phrase ("my dog's name").
ASK_WRAPS = (
    "{q}", "{q}", "{q}", "hey, {q}", "so, {q}", "now tell me: {q}", "quick question: {q}",
    "let me ask you: {q}", "okay, {q}", "can you tell me: {q}", "and {q}", "i forgot, {q}", "a question: {q}",
    "please tell me, {q}", "well, {q}", "one more question: {q}", "by the way, {q}", "just checking: {q}",
    "help me out, {q}",
)  # fmt: skip
CLAUSE_WRAPS = (
    "do you remember {c}?", "can you tell me {c}?", "do you know {c}?", "tell me {c}", "i forgot {c}",
    "remind me {c}", "could you tell me {c}?", "please tell me {c}", "do you still know {c}?",
    "i don't remember {c}", "did i tell you {c}?", "have i told you {c}?", "can you remember {c}?",
    "do you recall {c}?", "would you tell me {c}?", "please remind me {c}", "can you remind me {c}?",
    "any idea {c}?",
)  # fmt: skip
NOUN_WRAPS = (
    "do you remember {n}?", "do you know {n}?", "tell me {n}", "{n}?", "what was {n} again?",
    "can you tell me {n}?", "say {n}", "i forgot {n}", "do you still remember {n}?", "please tell me {n}",
    "what is {n} again?", "can you remember {n}?", "{n}, please", "remind me of {n}",
    "what did i say about {n}?", "do you recall {n}?", "and {n}?", "could you repeat {n}?",
)  # fmt: skip

# The assistant's own voice; {s} is a statement in its words: "your dog is called Biscuit".
ACK_PLAIN = (
    "Okay, I will remember that.", "Got it.", "Thank you for telling me.", "Good to know.", "I see.",
    "I will keep that in mind.", "That is nice to hear.", "All right, I have it.", "Noted.", "Okay.",
)  # fmt: skip
ACK_ECHO = (
    "Okay, {s}.", "Got it, {s}.", "Nice, {s}.", "I will remember that {s}.", "Good to know that {s}.",
    "I see, {s}.",
)  # fmt: skip
ACK_UPDATE = (
    "Okay, I have changed that: now {s}.", "Thank you, so now {s}.", "I see, {s} now.",
    "All right, I will remember the new one.",
)  # fmt: skip
ANSWERS = (
    "{S}.", "{S}.", "{S}.", "{S}.", "{S}.", "{S}.", "{S}.", "You told me that {s}.", "I remember that {s}.",
    "{v}.",
)  # fmt: skip
UNKNOWN = (
    "You have not told me {c}.", "I do not know {c}.", "Sorry, I do not know {c}. You have not told me yet.",
)  # fmt: skip
WHO_ASKS = ("who is {v}?", "do you know who {v} is?", "who was {v}?", "tell me who {v} is", "and who is {v}?")

SYSTEMS = (
    "You are a helpful assistant.", "You are memchat, a small assistant that remembers what the user says.",
    "Be kind and short.", "You are a friendly chat partner. Answer in one sentence.",
    "Answer the user's questions from the conversation.", "You are a tiny model called memchat starter.",
    "You remember what the user tells you.", "Talk in simple English.",
    "You are a helpful assistant with a good memory. If you do not know something, say so.", "Help the user.",
)  # fmt: skip

GREETINGS = (
    (
        (
            "hello", "hi", "hey", "hi there", "hello there", "good morning", "good evening", "hey there",
            "good day", "hallo", "hi again", "hello again", "howdy", "greetings", "good afternoon",
        ),
        (
            "Hello! How are you?", "Hi! Nice to see you.", "Hello! What would you like to tell me?",
            "Hi there!",
        ),
    ),
    (
        (
            "hello, how are you?", "hi, how are you?", "hey, how are you doing?", "hi, how is it going?",
            "good morning, how are you today?", "hey, are you well?",
        ),
        ("Hello! I am fine, thank you. How are you?", "Hi! I am well. How are you?"),
    ),
)  # fmt: skip

# (what users say, what the assistant says)
SMALL_TALK = (
    (
        (
            "how are you?", "how are you doing?", "how are you today?", "are you okay?", "how do you do?",
            "how do you feel?", "are you well?",
        ),
        ("I am fine, thank you. How are you?", "I am well, thanks. And you?"),
    ),
    (
        (
            "i am fine", "i'm fine, thanks", "i am good", "very well, thank you", "i'm doing well", "not bad",
            "pretty good", "i feel great",
        ),
        ("That is good to hear.", "I am glad to hear that."),
    ),
    (
        (
            "i am tired", "i am so tired today", "i feel tired", "i'm sleepy", "i did not sleep well",
            "i need some sleep", "i am exhausted",
        ),
        ("I hope you can rest soon.", "Then take a little break."),
    ),
    (
        (
            "i am sad", "i feel sad today", "i'm not happy", "i had a bad day", "today was a bad day",
            "my day was awful", "i feel down",
        ),
        ("I am sorry to hear that.", "I am sorry. I hope tomorrow is better."),
    ),
    (
        (
            "i am happy", "i am so happy today", "i had a great day", "today was a good day",
            "what a lovely day", "my day was great",
        ),
        ("That is wonderful!", "I am happy for you."),
    ),
    (
        (
            "it is raining", "it is raining today", "the weather is bad", "it rains again",
            "it is cold today", "it is snowing outside",
        ),
        ("Then stay warm and dry.", "A good day to stay inside."),
    ),
    (
        (
            "the sun is shining", "it is sunny today", "the weather is nice", "it is warm outside",
            "what nice weather", "it is hot today",
        ),
        ("Enjoy the sun!", "That sounds lovely."),
    ),
    (
        (
            "i am hungry", "i'm hungry", "i want to eat something", "i will make dinner soon",
            "it is time for lunch", "i could eat a horse",
        ),
        ("Then have something good to eat.", "Enjoy your meal!"),
    ),
    (
        (
            "i watched a film last night", "i saw a nice film", "i read a good book", "i listened to music",
            "i watched tv all day",
        ),
        ("That sounds nice. Did you like it?", "I hope you enjoyed it."),
    ),
    (
        (
            "i went for a walk", "i went shopping today", "i cleaned the house", "i worked all day",
            "i went to the park", "i went swimming",
        ),
        ("That sounds like a full day.", "Nice. I hope you had fun."),
    ),
    (
        (
            "i have to go to work", "i have a lot to do", "i am busy today", "i have a meeting soon",
            "i must hurry", "my boss is waiting",
        ),
        ("Good luck with it!", "I hope it goes well."),
    ),
    (
        (
            "tell me a joke", "do you know a joke?", "say something funny", "make me laugh",
            "can you tell a joke?", "i want to hear a joke",
        ),
        (
            "Why did the computer go to bed? It had to crash.",
            "What do you call a sleeping bull? A bulldozer.",
        ),
    ),
    (
        (
            "tell me a story", "do you know a story?", "can you tell me a story?", "tell me something",
            "i want to hear a story",
        ),
        ("Once a small cat looked for the moon and found a lamp. It was happy with it.",),
    ),
    (
        ("yes", "yes please", "yeah", "sure", "of course", "yes, i did", "yes it is", "yep", "certainly"),
        ("Good.", "All right."),
    ),
    (
        ("no", "no thanks", "nope", "not really", "no, i don't think so", "no, not at all", "never"),
        ("That is all right.", "Okay, no problem."),
    ),
    (
        (
            "ok", "okay", "i see", "all right", "cool", "nice", "great", "good", "wow", "really?", "fine",
            "haha", "perfect", "right",
        ),
        ("What else would you like to tell me?", "Is there anything else?"),
    ),
    (
        (
            "thank you", "thanks", "thanks a lot", "thank you very much", "many thanks", "thank you so much",
            "thx", "cheers",
        ),
        ("You are welcome.", "You are welcome!"),
    ),
    (
        (
            "i like you", "you are great", "you are funny", "you are nice", "you are clever", "well done",
            "good job", "that is correct", "that is right", "you are right", "very good",
        ),
        ("Thank you, that is kind.", "Thank you!"),
    ),
    (
        (
            "that is wrong", "you are wrong", "that is not right", "no, that is wrong", "you are stupid",
            "that was not correct",
        ),
        ("I am sorry. I am only a tiny model and make mistakes.",),
    ),
    (
        (
            "i am bored", "i'm bored", "what should we do?", "what shall we talk about?",
            "what do you want to talk about?", "i have no idea",
        ),
        (
            "Tell me something about you, and I will try to remember it.",
            "Tell me about your family or your pets.",
        ),
    ),
    (
        (
            "i like music", "i like to read", "i love animals", "i like cooking", "i love the sea",
            "i like long walks", "i enjoy the summer",
        ),
        ("That is nice. Tell me more.", "I am glad you like it."),
    ),
)  # fmt: skip

ASSISTANT = (
    (
        (
            "who are you?", "what are you?", "what is your name?", "what's your name?", "do you have a name?",
            "how are you called?", "what are you called?", "and who are you?", "tell me who you are",
            "introduce yourself", "may i know your name?",
        ),
        ("I am memchat starter, a tiny language model.", "My name is memchat starter. I am a tiny model."),
    ),
    (
        (
            "what can you do?", "what do you do?", "how can you help me?", "what are you good at?",
            "what can i do with you?", "help", "can you help me?", "what is your job?",
        ),
        ("I can chat a little and remember what you tell me.", "Tell me facts about you and ask me later."),
    ),
    (
        (
            "are you a robot?", "are you human?", "are you real?", "are you a person?", "are you an ai?",
            "are you a machine?", "are you alive?",
        ),
        ("I am a tiny language model, not a person.", "No person, only a tiny model called memchat starter."),
    ),
    (
        (
            "how old are you?", "where do you live?", "where are you from?", "do you have a dog?",
            "do you have friends?", "do you sleep?", "what is your favourite colour?", "what do you eat?",
            "do you have a family?",
        ),
        ("I am only a tiny model, I have nothing like that.",),
    ),
    (
        (
            "who made you?", "who built you?", "who trained you?", "where do you come from?",
            "how were you made?", "who created you?",
        ),
        ("The memchat project trained me.",),
    ),
    (
        (
            "are you smart?", "how big are you?", "how clever are you?", "how large are you?",
            "do you know a lot?", "how many parameters do you have?",
        ),
        ("I am very small and know only what you tell me.",),
    ),
    (
        (
            "can you remember things?", "do you remember what i say?", "do you have a memory?",
            "how good is your memory?", "will you remember me?", "do you forget things?",
        ),
        ("I remember what stands in our conversation.",),
    ),
)  # fmt: skip

# Questions about the wide world: {x} is any word. The honest answer is that a tiny model does not know.
WORLD_ASKS = (
    "what is the capital of {x}?", "who is the president of {x}?", "how far is {x}?", "what is {x}?",
    "tell me about {x}", "who wrote {x}?", "how do i cook {x}?", "what do you think about {x}?",
    "do you know {x}?", "where is {x}?", "how old is {x}?", "can you explain {x}?", "write a poem about {x}",
    "what does {x} mean?", "how many people live in {x}?", "when was {x} built?",
)  # fmt: skip
WORLD_ANSWERS = ("I am too small to know that. I only know what you tell me.",)

GOODBYES = (
    (
        "bye", "goodbye", "see you", "bye bye", "good night", "see you later", "see you tomorrow",
        "i have to go", "talk to you later", "that is all", "farewell", "so long",
    ),
    ("Goodbye!", "See you soon!", "Bye, take care!"),
)  # fmt: skip

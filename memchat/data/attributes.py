"""The attributes of the persona world: everything that its people tell, each with its own phrasings."""

from __future__ import annotations

from memchat.data import words
from memchat.data.facts import Attribute, favourite, named, number, place, simple

_SINGLE = (
    simple(
        "name", "person",
        tell=(
            "my name is {v} | i am {v} | i'm {v} | call me {v} | you can call me {v} | people call me {v} | "
            "my name's {v} | everyone calls me {v} | the name is {v} | my friends call me {v} | "
            "i go by {v} | i am called {v}"
        ),
        ask=(
            "what is my name? | what's my name? | who am i? | what am i called? | how am i called? | "
            "what was my name? | what do people call me? | do you know my name? | my name is what? | "
            "which name do i have?"
        ),
        answer="your name is {v}",
        clause="what my name is | who i am | what i am called",
        noun="my name",
    ),
    simple(
        "city", "city",
        tell=(
            "i live in {v} | my home is in {v} | i am living in {v} | i moved to {v} | my home town is {v} | "
            "{v} is where i live | the city i live in is {v} | home for me is {v} | i have a flat in {v} | "
            "my house is in {v} | i reside in {v}"
        ),
        ask=(
            "where do i live? | in which city do i live? | what city do i live in? | where is my home? | "
            "which city do i live in? | what is my home town? | where am i living? | "
            "which town is my home? | where is my house?"
        ),
        answer="you live in {v}",
        clause="where i live | which city i live in",
        noun="my home town",
        other_tell=(
            "{p} lives in {v} | {p}'s home is in {v} | {p} is living in {v} | {p} moved to {v} | "
            "{p} has a flat in {v} | {v} is where {p} lives | {p} comes home to {v} | "
            "the home of {p} is in {v}"
        ),
        other_ask=(
            "where does {p} live? | in which city does {p} live? | what city does {p} live in? | "
            "where is {p}'s home? | which city does {p} live in? | where is {p} living?"
        ),
        other_answer="{p} lives in {v}",
        other_clause="where {p} lives",
    ),
    simple(
        "birthplace", "city",
        tell=(
            "i was born in {v} | i come from {v} | i am from {v} | my birthplace is {v} | i'm from {v} | "
            "originally i am from {v} | {v} is where i was born | my place of birth is {v} | i grew up in {v}"
        ),
        ask=(
            "where was i born? | where am i from? | where do i come from? | what is my birthplace? | "
            "in which place was i born? | which town am i from? | what is my place of birth?"
        ),
        answer="you were born in {v}",
        clause="where i was born | where i am from",
        noun="my birthplace",
        other_tell=(
            "{p} was born in {v} | {p} comes from {v} | {p} is from {v} | {p}'s birthplace is {v} | "
            "originally {p} is from {v} | {v} is where {p} was born | {p} grew up in {v}"
        ),
        other_ask=(
            "where was {p} born? | where is {p} from? | where does {p} come from? | "
            "what is {p}'s birthplace? | which town is {p} from?"
        ),
        other_answer="{p} was born in {v}",
        other_clause="where {p} was born",
    ),
    simple(
        "street", "street",
        tell=(
            "i live on {v} | my street is {v} | my address is {v} | my house is on {v} | "
            "the street i live on is {v} | you find my house on {v} | i have a house on {v} | "
            "my flat is on {v} | our house stands on {v}"
        ),
        ask=(
            "what is my street? | what is my address? | on which street do i live? | "
            "what street do i live on? | which street is my house on? | what's my address? | "
            "what is the street i live on?"
        ),
        answer="your street is {v}",
        clause="which street i live on | what my address is",
        noun="my address",
    ),
    simple(
        "job", "job",
        tell=(
            "i work as a {v} | i am a {v} | my job is {v} | i'm a {v} | i have a job as a {v} | "
            "i earn my money as a {v} | i make a living as a {v} | by profession i am a {v} | "
            "my profession is {v} | i am working as a {v}"
        ),
        ask=(
            "what is my job? | what do i do for work? | what do i work as? | what's my job? | "
            "what is my profession? | what do i do for a living? | which job do i have? | "
            "how do i earn my money?"
        ),
        answer="you work as a {v}",
        clause="what my job is | what i work as",
        noun="my job",
        other_tell=(
            "{p} works as a {v} | {p} is a {v} | {p}'s job is {v} | {p} has a job as a {v} | "
            "{p} makes a living as a {v} | by profession {p} is a {v} | {p} is working as a {v}"
        ),
        other_ask=(
            "what is {p}'s job? | what does {p} do for work? | what does {p} work as? | "
            "what is {p}'s profession? | what does {p} do for a living?"
        ),
        other_answer="{p} works as a {v}",
        other_clause="what {p}'s job is",
    ),
    simple(
        "company", "company",
        tell=(
            "i work for {v} | i work at {v} | my employer is {v} | i have a job at {v} | "
            "i am employed at {v} | my company is {v} | the place where i work is {v} | i'm working for {v}"
        ),
        ask=(
            "who do i work for? | where do i work? | who is my employer? | which company do i work for? | "
            "where is my job? | what place do i work at? | at which place do i work?"
        ),
        answer="you work for {v}",
        clause="who i work for | where i work",
        noun="my employer",
        other_tell=(
            "{p} works for {v} | {p} works at {v} | {p}'s employer is {v} | {p} has a job at {v} | "
            "{p} is employed at {v}"
        ),
        other_ask=(
            "who does {p} work for? | where does {p} work? | who is {p}'s employer? | "
            "which company does {p} work for?"
        ),
        other_answer="{p} works for {v}",
        other_clause="who {p} works for",
    ),
    simple(
        "birthday", "date",
        tell=(
            "my birthday is on {v} | i was born on {v} | my birthday is {v} | i have my birthday on {v} | "
            "i celebrate my birthday on {v} | the date of my birth is {v} | my birthday falls on {v}"
        ),
        ask=(
            "when is my birthday? | when was i born? | on which day is my birthday? | what is my birthday? | "
            "when's my birthday? | on what date is my birthday? | when do i have my birthday?"
        ),
        answer="your birthday is on {v}",
        clause="when my birthday is | when i was born",
        noun="my birthday",
        other_tell=(
            "{p}'s birthday is on {v} | {p} was born on {v} | {p}'s birthday is {v} | {p} celebrates on {v}"
        ),
        other_ask=(
            "when is {p}'s birthday? | when was {p} born? | on which day is {p}'s birthday? | "
            "what is {p}'s birthday?"
        ),
        other_answer="{p}'s birthday is on {v}",
        other_clause="when {p}'s birthday is",
    ),
    simple(
        "car", "car",
        tell=(
            "i drive a {v} | my car is a {v} | i have a {v} as my car | i own a {v} | i bought a {v} | "
            "the car i drive is a {v} | i've got a {v} to drive | my car at the moment is a {v} | "
            "there is a {v} in my garage"
        ),
        ask=(
            "what car do i drive? | what is my car? | which car do i have? | what kind of car do i have? | "
            "what do i drive? | which car do i own? | what's my car?"
        ),
        answer="you drive a {v}",
        clause="what car i drive | which car i have",
        noun="my car",
        other_tell=(
            "{p} drives a {v} | {p}'s car is a {v} | {p} owns a {v} | {p} bought a {v} | "
            "the car {p} drives is a {v}"
        ),
        other_ask=(
            "what car does {p} drive? | what is {p}'s car? | which car does {p} have? | what does {p} drive?"
        ),
        other_answer="{p} drives a {v}",
        other_clause="what car {p} drives",
    ),
    simple(
        "hobby", "hobby",
        tell=(
            "my hobby is {v} | i love {v} in my free time | in my free time i enjoy {v} | "
            "i spend my free time {v} | my favourite hobby is {v} | {v} is my hobby | "
            "as a hobby i like {v} | on weekends i go for {v} | for fun i do {v}"
        ),
        ask=(
            "what is my hobby? | what do i do in my free time? | what's my hobby? | which hobby do i have? | "
            "what do i do for fun? | what do i enjoy in my free time? | how do i spend my free time?"
        ),
        answer="your hobby is {v}",
        clause="what my hobby is | which hobby i have",
        noun="my hobby",
        other_tell=(
            "{p}'s hobby is {v} | {p} loves {v} in the free time | {v} is {p}'s hobby | "
            "as a hobby {p} likes {v} | for fun {p} does {v}"
        ),
        other_ask=(
            "what is {p}'s hobby? | what does {p} do in the free time? | which hobby does {p} have? | "
            "what does {p} do for fun?"
        ),
        other_answer="{p}'s hobby is {v}",
        other_clause="what {p}'s hobby is",
    ),
    simple(
        "instrument", "instrument",
        tell=(
            "i play the {v} | my instrument is the {v} | i am learning the {v} | i can play the {v} | "
            "i learn to play the {v} | the instrument i play is the {v} | i practise the {v} every day | "
            "i take lessons on the {v}"
        ),
        ask=(
            "what instrument do i play? | which instrument do i play? | what is my instrument? | "
            "what do i play? | which instrument can i play? | what instrument am i learning?"
        ),
        answer="you play the {v}",
        clause="which instrument i play | what instrument i play",
        noun="my instrument",
        other_tell=(
            "{p} plays the {v} | {p}'s instrument is the {v} | {p} can play the {v} | "
            "{p} is learning the {v} | the instrument {p} plays is the {v}"
        ),
        other_ask=(
            "what instrument does {p} play? | which instrument does {p} play? | what is {p}'s instrument? | "
            "what does {p} play?"
        ),
        other_answer="{p} plays the {v}",
        other_clause="which instrument {p} plays",
    ),
    simple(
        "allergy", "allergen",
        tell=(
            "i am allergic to {v} | i have an allergy to {v} | i'm allergic to {v} | {v} makes me sneeze | "
            "my allergy is {v} | i can not stand {v}, i am allergic | "
            "i must stay away from {v} because of my allergy | my body does not like {v}"
        ),
        ask=(
            "what am i allergic to? | what is my allergy? | which allergy do i have? | what's my allergy? | "
            "what do i have an allergy to? | to what am i allergic?"
        ),
        answer="you are allergic to {v}",
        clause="what i am allergic to | which allergy i have",
        noun="my allergy",
        other_tell=(
            "{p} is allergic to {v} | {p} has an allergy to {v} | {p}'s allergy is {v} | {v} makes {p} sneeze"
        ),
        other_ask=(
            "what is {p} allergic to? | what is {p}'s allergy? | which allergy does {p} have? | "
            "to what is {p} allergic?"
        ),
        other_answer="{p} is allergic to {v}",
        other_clause="what {p} is allergic to",
    ),
    simple(
        "language", "language",
        tell=(
            "i speak {v} | i am learning {v} | my language is {v} | i can speak {v} | i study {v} | "
            "at home i speak {v} | the language i learn is {v} | i take {v} lessons"
        ),
        ask=(
            "which language do i speak? | what language do i speak? | what is my language? | "
            "which language am i learning? | what do i speak? | which language do i study?"
        ),
        answer="you speak {v}",
        clause="which language i speak | what language i speak",
        noun="my language",
        other_tell=(
            "{p} speaks {v} | {p} is learning {v} | {p} can speak {v} | {p} studies {v} | "
            "at home {p} speaks {v}"
        ),
        other_ask=(
            "which language does {p} speak? | what language does {p} speak? | what is {p}'s language? | "
            "which language does {p} study?"
        ),
        other_answer="{p} speaks {v}",
        other_clause="which language {p} speaks",
    ),
    simple(
        "holiday", "country",
        tell=(
            "i am going to {v} on holiday | my next holiday is in {v} | we will travel to {v} this summer | "
            "i fly to {v} next month | i booked a trip to {v} | next week i go to {v} | "
            "i am planning a trip to {v} | my next trip goes to {v}"
        ),
        ask=(
            "where am i going on holiday? | where is my next holiday? | where do i travel to? | "
            "where will i go on holiday? | where is my next trip going? | which place did i book a trip to?"
        ),
        answer="you are going to {v} on holiday",
        clause="where i am going on holiday | where my next trip goes",
        noun="my holiday place",
    ),
    simple(
        "breakfast", "food",
        tell=(
            "i had {v} for breakfast | for breakfast i ate {v} | this morning i ate {v} | "
            "my breakfast was {v} | i ate {v} this morning | today i had {v} in the morning | "
            "there was {v} for my breakfast | i started the day with {v}"
        ),
        ask=(
            "what did i have for breakfast? | what did i eat for breakfast? | what did i eat this morning? | "
            "what was my breakfast? | what was there for my breakfast? | what did i have this morning?"
        ),
        answer="you had {v} for breakfast",
        clause="what i had for breakfast | what i ate this morning",
        noun="my breakfast",
    ),
)  # fmt: skip

ATTRIBUTES: tuple[Attribute, ...] = (
    *(named(noun, "pet") for noun in words.PETS),
    *(named(noun, "person", "her" if noun in words.FEMALE else "his") for noun in words.PEOPLE),
    *(named(noun, "title") for noun in words.THINGS),
    *(favourite(noun, pool) for noun, pool in words.FAVOURITES),
    *(place(thing, verb) for thing, verb in words.PLACES),
    *(number(noun, pool) for noun, pool in words.NUMBERS),
    *_SINGLE,
)

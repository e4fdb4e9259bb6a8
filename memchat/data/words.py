"""Plain word lists of the persona world: nothing but data, one tuple of words for each kind of value."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(",") if part.strip())


FIRST_NAMES = _words("""
Ana, Ben, Carla, David, Emma, Felix, Grace, Henry, Ida, Jack, Kate, Leo, Mia, Noah, Olga, Peter, Quinn, Rosa,
Sam, Tom, Uma, Victor, Wendy, Xavier, Yara, Zoe, Adam, Bella, Chris, Diana, Ethan, Fiona, George, Hannah,
Ivan, Julia, Kevin, Laura, Martin, Nina, Oscar, Paula, Robert, Sarah, Theo, Ursula, Vera, William, Alice,
Bruno, Clara, Daniel, Elena, Frank, Gina, Hugo, Irene, James, Karen, Lucas, Maria, Nora, Oliver, Petra, Ruth,
Simon, Tina, Viktor, Walter, Anton, Beth, Conrad, Dora, Erik, Flora, Gustav, Helen, Igor, Joan, Karl, Lena,
Max, Nadia, Otto, Pia, Ralph, Stella, Tara, Vincent, Alma, Boris, Cora, Dennis, Edith, Fred, Greta, Harold,
Iris, Jonas, Kim, Linda, Marco, Nick, Olivia, Paul, Rita, Steve, Tessa, Amir, Aisha, Chen, Deepak, Fatima,
Hiro, Jing, Kofi, Leila, Mehmet, Ngozi, Omar, Priya, Raj, Sakura, Tariq, Yuki, Zainab, Ahmed, Carlos, Diego,
Elif, Farid, Ingrid, Jamal, Katya, Lars, Mateo, Nils, Pablo, Rashid, Sven, Tomas, Ying, Alexander, Benjamin,
Charlotte, Elizabeth, Gabriel, Isabella, Jennifer, Katherine, Matthew, Nicholas, Patricia, Sebastian,
Samantha, Thomas, Veronica, Zachary, Amelia
""")
PET_NAMES = _words("""
Rex, Bella, Luna, Milo, Charlie, Max, Coco, Rocky, Daisy, Buddy, Simba, Nala, Oreo, Ginger, Shadow, Lucky,
Tiger, Fluffy, Snowball, Whiskers, Mittens, Felix, Spot, Bruno, Duke, Molly, Sadie, Toby, Zeus, Apollo, Thor,
Loki, Odin, Pepper, Cookie, Waffle, Pancake, Muffin, Peanut, Pickle, Noodle, Bubbles, Nemo, Dory, Kiwi, Mango,
Rio, Sunny, Sky, Storm, Ziggy, Bandit, Scout, Rusty, Dusty, Smokey, Patch, Socks, Boots, Button, Pip, Pixie,
Poppy, Rosie, Ruby, Jasper, Oliver, Archie, Teddy, Winnie, Ollie, Gizmo, Sparky, Biscotti, Tofu, Sushi, Mochi,
Taco, Nacho, Brownie, Fudge, Hazel, Willow, Maple, Clover, Honey, Bunny, Thumper, Flopsy, Bugsy, Goldie,
Blaze, Comet, Dash, Echo, Ghost, Hunter, Jumbo, Karma, Lady, Nugget, Princess, Quill, Ranger, Sasha,
Tinkerbell, Turbo, Yoda
""")
CITIES = _words("""
London, Paris, Berlin, Madrid, Rome, Vienna, Prague, Lisbon, Dublin, Oslo, Athens, Warsaw, Helsinki, Lima,
Cairo, Tokyo, Kyoto, Osaka, Delhi, Mumbai, Sydney, Perth, Boston, Chicago, Denver, Seattle, Austin, Dallas,
Miami, Toronto, Montreal, Havana, Bogota, Quito, Santiago, Nairobi, Lagos, Accra, Tunis, Istanbul, Ankara,
Beirut, Baghdad, Tehran, Kabul, Hanoi, Bangkok, Manila, Seoul, Beijing, Shanghai, Bristol, Leeds, York,
Oxford, Cambridge, Glasgow, Cardiff, Belfast, Lyon, Nice, Marseille, Hamburg, Munich, Cologne, Leipzig,
Zurich, Geneva, Basel, Milan, Turin, Naples, Seville, Porto, Ghent, Bruges, Rotterdam, Utrecht, Malmo, Bergen,
Tampere, Riga, Vilnius, Tallinn, Krakow, Budapest, Zagreb, Sofia, New York, San Francisco, Los Angeles,
Buenos Aires, Rio de Janeiro, Cape Town, Hong Kong, New Orleans, Salt Lake City, Portland, Phoenix, Houston,
Atlanta, Memphis, Salem, Springfield, Newport, Plymouth, Winchester, Valencia
""")
COUNTRIES = _words("""
France, Spain, Italy, Portugal, Greece, Norway, Sweden, Finland, Denmark, Iceland, Ireland, Scotland, Wales,
Poland, Hungary, Croatia, Turkey, Egypt, Kenya, Ghana, Nigeria, Morocco, India, Nepal, China, Japan, Korea,
Vietnam, Thailand, Malaysia, Indonesia, Australia, New Zealand, Canada, Mexico, Cuba, Brazil, Peru, Chile,
Argentina, Bolivia, Austria, Switzerland, Belgium, Malta, Cyprus, Jordan
""")
COMPANIES = _words("""
Northwind, Bluebird Bank, Green Valley Farm, the city library, the post office, the hospital, the museum,
the zoo, Sunrise Bakery, the university, Red Fox Studio, the airport, Star Motors, Silver Lake School,
the town hall, Globe Travel, Happy Toys, the opera, River Books, Mountain Air, Ocean Foods, Bright Lights,
the fire station, Golden Gate Hotel, Old Mill Brewery, the harbour
""")
COLOURS = _words("""
red, blue, green, yellow, orange, purple, pink, brown, black, white, grey, gold, silver, turquoise, violet,
crimson, scarlet, beige, indigo, teal, maroon, navy, olive, lilac, mint, coral, amber, ivory, magenta, cyan,
peach, rust, lavender, khaki, bronze, ruby
""")
ADJECTIVES = _words("""
old, new, little, big, silent, golden, broken, lost, hidden, happy, sad, quiet, wild, frozen, burning, empty,
secret, last, first, lonely, bright, dark, magic, wooden, glass, iron, paper, distant, hungry, sleepy, brave,
gentle, crooked, round, tall, tiny
""")
NOUNS = _words("""
river, mountain, garden, window, house, train, island, forest, lake, bridge, tower, castle, ship, lantern,
mirror, clock, key, door, star, moon, cloud, stone, feather, apple, rose, tiger, wolf, fox, owl, eagle, raven,
dragon, robot, kettle, hammer, button, candle, violin, drum, map, book, letter, shadow, storm, winter, summer,
harbour, mill, oak, pine, elm, cedar, willow, maple, meadow, valley, cherry, biscuit, pebble, arrow, crown,
ribbon, spoon, blanket, teapot, marble, comet, pocket, ladder, whistle, acorn, badger, turnip
""")
FOODS = _words("""
pizza, pasta, sushi, rice, soup, lasagne, curry, tacos, pancakes, burgers, chips, fried rice, noodles,
dumplings, ramen, risotto, paella, falafel, hummus, salad, steak, roast chicken, fish and chips, omelette,
waffles, chocolate, ice cream, cheese, bread, apple pie, stew, chili, kebab, goulash, pierogi, ravioli,
gnocchi, burritos, sandwiches, toast, porridge, mashed potatoes, baked beans, spaghetti, meatballs, couscous,
lentils, tofu, popcorn, cheesecake, tiramisu, fondue, pho, pad thai, sausages, quiche, moussaka, brownies
""")
FRUITS = _words("""
apple, banana, cherry, grape, lemon, lime, mango, melon, orange, papaya, peach, pear, pineapple, plum,
pumpkin, raspberry, strawberry, blueberry, blackberry, kiwi, fig, date, apricot, coconut, guava, lychee,
nectarine, tangerine, watermelon, gooseberry, quince, currant
""")
DRINKS = _words("""
tea, coffee, green tea, black coffee, orange juice, apple juice, lemonade, water, milk, hot chocolate, cola,
ginger ale, red wine, white wine, beer, cider, mint tea, tomato juice, iced tea, espresso, cappuccino,
milkshake, soda, kombucha, oat milk, chai, rum, sake
""")
ANIMALS = _words("""
lion, tiger, elephant, giraffe, zebra, monkey, panda, koala, kangaroo, wolf, fox, bear, deer, moose, otter,
beaver, badger, hedgehog, owl, eagle, penguin, flamingo, parrot, swan, dolphin, whale, shark, octopus, seal,
turtle, crocodile, frog, lizard, snake, bee, butterfly, ladybird, camel, llama, goat, sheep, donkey, horse,
rabbit, squirrel, raccoon, bat, sloth, lemur, jaguar, leopard, cheetah, rhino, hippo
""")
SPORTS = _words("""
football, tennis, basketball, rugby, cricket, golf, hockey, volleyball, swimming, boxing, judo, karate,
fencing, rowing, sailing, surfing, skiing, skating, cycling, archery, badminton, baseball, handball,
wrestling, climbing, running, table tennis, water polo, darts, chess
""")
FLOWERS = _words("""
rose, tulip, lily, daisy, sunflower, orchid, violet, poppy, iris, daffodil, carnation, jasmine, lavender,
peony, marigold, dahlia, lotus, bluebell, snowdrop, magnolia, geranium, primrose, hyacinth, crocus, camellia,
forget-me-not, foxglove, azalea, begonia, zinnia
""")
HOBBIES = _words("""
painting, fishing, knitting, reading, gardening, dancing, singing, cooking, baking, hiking, camping, swimming,
running, cycling, sailing, drawing, writing poems, photography, pottery, chess, birdwatching, stargazing,
climbing, juggling, origami, woodwork, sewing, surfing, skating, yoga, archery, model trains, playing cards,
solving puzzles, making candles, taking photos, watching films, horse riding
""")
JOBS = _words("""
teacher, nurse, doctor, baker, farmer, pilot, driver, painter, writer, singer, dancer, actor, chef, waiter,
barber, carpenter, plumber, electrician, engineer, lawyer, judge, librarian, gardener, butcher, tailor,
fisherman, sailor, soldier, firefighter, police officer, scientist, chemist, dentist, vet, architect,
accountant, cashier, mechanic, photographer, journalist, translator, programmer, florist, musician, postman,
miner, shepherd, beekeeper, astronaut, bus driver, taxi driver, shop assistant, piano teacher, tour guide,
clown
""")
INSTRUMENTS = _words("""
piano, guitar, violin, cello, flute, trumpet, drums, harp, clarinet, saxophone, banjo, ukulele, accordion,
trombone, tuba, oboe, bassoon, mandolin, harmonica, bagpipes, organ, double bass, viola, recorder, xylophone,
tambourine, sitar, lute, keyboard, triangle
""")
LANGUAGES = _words("""
French, German, Spanish, Italian, Dutch, Polish, Russian, Greek, Turkish, Arabic, Hebrew, Persian, Hindi,
Bengali, Chinese, Japanese, Korean, Thai, Vietnamese, Swahili, Zulu, Finnish, Swedish, Norwegian, Danish,
Welsh, Irish, Basque, Latin, Portuguese, Czech, Romanian
""")
ALLERGENS = _words("""
peanuts, milk, eggs, wheat, soy, fish, shrimp, crab, cats, dogs, dust, pollen, bees, strawberries, nuts,
walnuts, almonds, sesame, mustard, celery, kiwi, tomatoes, latex, grass, horses, gluten, garlic, onions,
peaches, mushrooms, chocolate, penicillin, perfume, wool
""")
CARS = _words("""
Ford, Toyota, Honda, Volvo, Fiat, Renault, Peugeot, Mazda, Nissan, Audi, Opel, Skoda, Tesla, Kia, Hyundai,
Jaguar, Mini, Beetle, Jeep, Porsche, Subaru, Suzuki, Seat, Lada, Saab, Citroen, Mercedes, Bentley, Chevrolet,
Cadillac, pickup truck, old van, minibus, camper
""")
MONTHS = _words("""
January, February, March, April, May, June, July, August, September, October, November, December
""")
FURNITURE = _words("""
box, drawer, cupboard, sofa, table, chair, bed, desk, shelf, wardrobe, fridge, lamp, door, window, stairs,
garage, kitchen, cellar, attic, garden shed, bathroom, bag, backpack, suitcase, jacket, basket, jar, vase,
piano, bookcase, carpet, pillow, car, oven, mailbox
""")

# What people have and tell about: pets, people and things with a name, and nouns with the pool of their values.
PETS = (
    "dog", "cat", "rabbit", "parrot", "horse", "hamster", "goldfish", "turtle", "pony", "snake", "goat",
    "hen", "lizard", "duck", "mouse", "canary", "cow", "pig", "puppy", "kitten", "hedgehog", "ferret",
    "tortoise", "budgie", "frog", "spider", "llama", "donkey", "sheep", "pet", "fish", "bird", "rat",
    "guinea pig", "old dog", "black cat",
)  # fmt: skip
FEMALE = (
    "sister", "aunt", "mother", "wife", "daughter", "grandmother", "girlfriend", "niece", "older sister",
)  # fmt: skip
PEOPLE = (
    "sister", "brother", "friend", "neighbour", "boss", "teacher", "cousin", "uncle", "aunt", "mother",
    "father", "wife", "husband", "son", "daughter", "grandmother", "grandfather", "doctor", "dentist",
    "roommate", "colleague", "coach", "girlfriend", "boyfriend", "landlord", "baby", "niece", "nephew",
    "best friend", "little brother", "older sister", "piano teacher", "business partner",
)  # fmt: skip
THINGS = (
    "boat", "robot", "school", "band", "football team", "teddy bear", "house", "village", "tractor", "ship",
)  # fmt: skip
FAVOURITES = (
    ("colour", "colour"), ("food", "food"), ("book", "title"), ("film", "title"), ("movie", "title"),
    ("song", "title"), ("band", "title"), ("animal", "animal"), ("sport", "sport"), ("fruit", "fruit"),
    ("drink", "drink"), ("flower", "flower"), ("month", "season"), ("season", "season"), ("city", "city"),
    ("country", "country"), ("singer", "person"), ("game", "title"), ("number", "number"), ("place", "city"),
    ("dessert", "food"),
)  # fmt: skip
PLACES = (
    ("keys", "are"), ("umbrella", "is"), ("passport", "is"), ("phone", "is"), ("wallet", "is"),
    ("glasses", "are"), ("bike", "is"), ("ring", "is"), ("red hat", "is"), ("laptop", "is"),
    ("tickets", "are"), ("watch", "is"),
)  # fmt: skip
NUMBERS = (
    ("phone number", "number"), ("lucky number", "number"), ("pin", "number"), ("locker number", "number"),
    ("room number", "number"), ("password", "code"), ("door code", "code"), ("user name", "code"),
    ("flight number", "code"), ("bus number", "number"), ("wedding day", "date"), ("exam date", "date"),
)  # fmt: skip

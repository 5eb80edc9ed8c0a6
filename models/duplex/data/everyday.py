"""Everyday sentences of many domains, composed: so that a model hears words, not forms.

`PATTERNS` are sentences with places, `LEXICON` what fills them, `everyday` draws one. They are meant to be broad, not
deep: shopping, travel, banking, health, utilities, technical trouble, food, weather, home, work and talk.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from models.duplex.data.draft import Draft, shared_out
from models.duplex.data.grammar import Fill, expand

LEXICON: dict[str, tuple[str, ...]] = {
    name: tuple(text.strip() for text in listed.split(","))
    for name, listed in {
        "product": "jacket, winter coat, pair of shoes, sweater, dress, pair of jeans, backpack, suitcase, "
        "laptop, keyboard, "
        "monitor, printer, headphones, charger, phone case, tablet, camera, tripod, lamp, desk, office chair, "
        "bookshelf, mattress, sofa, armchair, wardrobe, rug, curtain, mirror, kettle, toaster, blender, coffee "
        "machine, frying pan, saucepan, knife set, dinner plate, wine glass, vacuum cleaner, washing machine, "
        "dryer, dishwasher, fridge, freezer, oven, microwave, iron, hair dryer, razor, toothbrush, bicycle, "
        "helmet, tent, sleeping bag, yoga mat, football, tennis racket, fishing rod, guitar, violin, drum, "
        "puzzle, board game, doll, toy train, stroller, crib, car seat, cat litter, dog food, bird cage, "
        "aquarium, hammer, drill, screwdriver, ladder, paint, wallpaper, garden hose, lawn mower, shovel, "
        "fertilizer, flower pot, book, notebook, fountain pen, calendar, envelope, stapler, watch, necklace, "
        "bracelet, earring, wedding ring, sunglasses, umbrella, scarf, glove, hat, belt, wallet, handbag, "
        "perfume, lipstick, shampoo, sunscreen, soap, candle, blanket, pillow, towel, bathrobe, slipper, router, "
        "cable, battery, memory card, speaker, microphone, television, remote control, smoke alarm, light bulb, "
        "extension cord, tool box, bucket, broom, mop, trash can, ironing board, clothes rack, raincoat, boot, "
        "sandal",
        "colour": "black, white, red, blue, navy, green, olive, yellow, orange, purple, pink, brown, beige, "
        "grey, silver, "
        "golden, turquoise, burgundy",
        "quality": "broken, too small, too big, too tight, too loose, dirty, torn, cracked, scratched, bent, "
        "faded, stained, "
        "leaking, noisy, heavy, cheap, expensive, defective, incomplete, rusty, crooked, wobbly, sticky, damp, "
        "dusty, greasy, fragile, uncomfortable, flimsy, blurry",
        "food": "pizza, pasta, soup, salad, sandwich, burger, steak, grilled chicken, roast beef, salmon, "
        "shrimp, sushi, "
        "noodles, fried rice, curry, lentils, beans, potatoes, mashed potatoes, french fries, onion rings, "
        "omelette, pancakes, waffles, cereal, porridge, yoghurt, cheese, butter, bread, croissant, bagel, muffin, "
        "cookies, chocolate cake, apple pie, ice cream, pudding, strawberries, blueberries, bananas, grapes, "
        "oranges, peaches, watermelon, tomatoes, cucumbers, carrots, broccoli, spinach, mushrooms, garlic, "
        "peppers, avocado, sausages, bacon, ham, turkey, lamb, tofu, dumplings, tacos, burritos, falafel, hummus, "
        "olives, pickles, peanuts, walnuts, honey, jam, maple syrup",
        "drink": "coffee, black tea, green tea, orange juice, lemonade, milk, hot chocolate, sparkling water, "
        "tap water, "
        "red wine, white wine, beer, cider, whisky, an espresso, a cappuccino, a smoothie, ginger ale, iced tea, "
        "tonic water",
        "body": "head, forehead, eye, ear, nose, tooth, jaw, throat, neck, shoulder, elbow, wrist, hand, "
        "finger, thumb, "
        "chest, back, stomach, hip, knee, ankle, foot, toe, skin, heel, rib, calf, gum, tongue, lower back",
        "illness": "a cold, the flu, a fever, a cough, a sore throat, a headache, a migraine, an infection, an "
        "allergy, "
        "asthma, a rash, a toothache, back pain, high blood pressure, diabetes, insomnia, dizziness, nausea, "
        "cramps, a sprained ankle, a broken arm, hay fever, eczema, anxiety, heartburn, an ear infection, a stiff "
        "neck, shortness of breath, chickenpox, pneumonia, arthritis, a concussion, food poisoning, a blister",
        "doctor": "doctor, dentist, nurse, surgeon, pediatrician, dermatologist, physiotherapist, optician, "
        "cardiologist, "
        "specialist, therapist, pharmacist, midwife, vet, consultant, radiologist, neurologist, chiropractor, "
        "psychologist, paramedic",
        "medicine": "tablets, painkillers, antibiotics, eye drops, cough syrup, insulin, vitamins, inhaler, "
        "ointment, "
        "vaccination, blood test, X-ray, prescription, bandages, sleeping pills, allergy medicine, crutches, "
        "referral, ultrasound, physiotherapy, injection, sick note",
        "city": "London, Paris, Berlin, Madrid, Rome, Vienna, Zurich, Amsterdam, Brussels, Dublin, Edinburgh, "
        "Manchester, "
        "Glasgow, Bristol, Leeds, Birmingham, Liverpool, Lisbon, Porto, Barcelona, Milan, Venice, Naples, Athens, "
        "Istanbul, Prague, Budapest, Warsaw, Krakow, Stockholm, Oslo, Helsinki, Copenhagen, Reykjavik, New York, "
        "Boston, Chicago, Denver, Dallas, Houston, Austin, Seattle, Portland, San Francisco, Los Angeles, San "
        "Diego, Phoenix, Miami, Atlanta, Philadelphia, Washington, Toronto, Montreal, Vancouver, Mexico City, "
        "Buenos Aires, Lima, Bogota, Sao Paulo, Cairo, Nairobi, Cape Town, Lagos, Dubai, Delhi, Mumbai, Bangkok, "
        "Singapore, Hong Kong, Tokyo, Osaka, Seoul, Shanghai, Sydney, Melbourne, Auckland, Nashville, New "
        "Orleans, Minneapolis, Detroit, Cleveland, Baltimore, Orlando, Las Vegas, Salt Lake City",
        "place": "airport, train station, bus stop, harbour, city centre, museum, library, town hall, post "
        "office, police "
        "station, hospital, clinic, pharmacy, supermarket, bakery, butcher, farmers market, shopping mall, gas "
        "station, garage, car park, hotel, hostel, campsite, beach, lake, mountains, forest, zoo, botanical "
        "garden, theatre, cinema, opera house, concert hall, stadium, gym, swimming pool, school, kindergarten, "
        "university, church, cathedral, castle, bridge, embassy, bank, hairdresser, laundry, playground, "
        "warehouse, office, factory",
        "vehicle": "car, van, truck, motorcycle, scooter, bicycle, bus, tram, train, ferry, taxi, rental car, "
        "plane, subway, "
        "electric car, camper van",
        "trouble": "won't start, keeps crashing, is frozen, is very slow, makes a strange noise, doesn't turn "
        "on, won't "
        "charge, is overheating, stopped working, is leaking, keeps beeping, smells burnt, shows an error, won't "
        "connect, keeps disconnecting, is flickering, won't print, is stuck, fell apart, has no sound, lost all "
        "my settings, won't update, is making a clicking sound, doesn't respond, drains the battery, went blank, "
        "is jammed, won't open, doesn't close properly, keeps restarting, blew a fuse, drips all night, won't "
        "flush, trips the breaker",
        "device": "phone, computer, laptop, tablet, router, modem, printer, scanner, television, internet "
        "connection, "
        "landline, screen, keyboard, mouse, camera, headset, smart watch, thermostat, boiler, heating, radiator, "
        "air conditioning, doorbell, alarm system, garage door, dishwasher, washing machine, oven, fridge, "
        "shower, tap, toilet, electricity, water heater, elevator, intercom, website, app, meter, e-mail",
        "bill": "electricity bill, gas bill, water bill, phone bill, internet bill, rent, invoice, bank "
        "statement, tax "
        "return, insurance premium, parking ticket, credit card statement, membership fee, reminder, mortgage "
        "payment, council tax, tuition fee, repair bill, hospital bill",
        "account": "checking account, savings account, credit card, debit card, joint account, business "
        "account, student "
        "loan, mortgage, pension, insurance policy, car loan, standing order, direct debit, overdraft, prepaid "
        "card, investment account, gift card, safe deposit box",
        "weather": "sunny, cloudy, rainy, windy, foggy, stormy, freezing, snowy, humid, boiling hot, mild, "
        "chilly, icy, "
        "drizzly, cold and wet, lovely and warm, miserable, clear, hazy, muggy",
        "person": "my wife, my husband, my mother, my father, my daughter, my son, my brother, my sister, my "
        "grandmother, "
        "my grandfather, my uncle, my aunt, my cousin, my neighbour, my boss, my colleague, my friend, my "
        "roommate, my landlord, my lawyer, my accountant, my girlfriend, my boyfriend, the manager, the driver, "
        "the technician, the plumber, the electrician, the builder, the receptionist, the mailman, your "
        "colleague, somebody, the carpenter, the babysitter, my teacher, my niece, my nephew, my stepmother, the "
        "delivery guy, the cleaner",
        "animal": "dog, cat, puppy, kitten, rabbit, hamster, parrot, horse, cow, sheep, goat, chicken, duck, "
        "goldfish, "
        "turtle, squirrel, fox, bear, spider, mouse, bee, butterfly, elephant, giraffe, lion, tiger, monkey, "
        "dolphin, whale, owl, eagle, hedgehog, frog, snake",
        "feeling": "happy, sad, tired, angry, worried, nervous, excited, confused, disappointed, surprised, "
        "relieved, "
        "frustrated, embarrassed, proud, lonely, bored, hungry, thirsty, sleepy, grateful, annoyed, curious, "
        "impatient, satisfied, stressed, upset, cheerful, anxious",
        "hobby": "reading, cooking, gardening, hiking, swimming, cycling, skiing, dancing, painting, knitting, "
        "fishing, "
        "running, camping, sailing, climbing, photography, chess, pottery, singing, playing the piano, watching "
        "movies, travelling, baking, woodworking, yoga, horse riding",
        "job": "teacher, engineer, carpenter, mechanic, chef, waiter, farmer, journalist, photographer, "
        "musician, actor, "
        "lawyer, judge, accountant, cashier, driver, pilot, sailor, soldier, firefighter, police officer, "
        "scientist, programmer, designer, librarian, plumber, electrician, hairdresser, tailor, butcher, "
        "gardener, architect, translator, secretary, salesman, student, pensioner, cleaner, security guard",
        "room": "kitchen, bathroom, bedroom, living room, hallway, cellar, attic, garage, balcony, garden, "
        "dining room, "
        "office, staircase, porch",
        "thing": "key, letter, parcel, passport, driving licence, ticket, receipt, contract, form, certificate, "
        "photograph, password, username, invoice, voucher, coupon, brochure, map, schedule, recipe, address, "
        "e-mail, document, signature, report, manual, warranty, label, box, bag, purse, glasses, birth "
        "certificate, insurance card, membership card, application, calendar, badge, luggage, umbrella",
        "verb": "find, check, change, cancel, order, return, replace, repair, clean, send, open, close, pay, "
        "book, move, "
        "print, sign, update, download, renew, extend, confirm, collect, deliver, exchange, compare, measure, "
        "install, remove, reset, record, translate, explain, report, register, activate, block, upgrade, "
        "transfer, insure, rent, borrow, sell, buy, paint, build, copy, scan, upload, delete, recover, verify",
        "past": "found, checked, changed, cancelled, ordered, returned, lost, cleaned, opened, closed, paid "
        "for, booked, "
        "moved, printed, signed, updated, broke, forgot, received, borrowed, sold, bought, stole, dropped, "
        "damaged, hid, burned, washed, picked up, left, mentioned, described, promised, refused, repaired, "
        "copied, deleted, misplaced, wrapped, unpacked, examined, ignored, noticed, threw away",
        "adverb": "really, probably, already, still, always, never, often, sometimes, usually, finally, "
        "suddenly, quickly, "
        "slowly, carefully, immediately, unfortunately, apparently, certainly, recently, definitely, "
        "accidentally, honestly, actually, obviously, perhaps, barely, completely, constantly, eventually, "
        "gradually, hopefully, mostly, normally, occasionally, originally, previously, properly, rarely",
        "subject": "the new law, the elections, the traffic, the noise next door, the price of petrol, the "
        "football game, "
        "the concert, our holiday, the wedding, the funeral, the exam, the interview, the renovation, the recipe, "
        "the movie last night, the school play, the neighbours, the construction site, the strike, the festival, "
        "the garden party, the meeting, the deadline, the presentation, the budget, the flood",
        "where": "at home, at work, in the car, on the train, at the office, in the kitchen, upstairs, downstairs, "
        "outside, in town, abroad, on the motorway, in the waiting room, at the airport, in the garden, next to "
        "the window, behind the house, under the table, in the drawer, on the second floor, around the corner, "
        "across the street, near the station, at the front desk, in the basement, by the door, on top of the "
        "shelf",
        "shop": "hardware store, bookshop, shoe shop, furniture store, pet shop, jeweller, flower shop, toy store, "
        "second-hand shop, garden centre, phone shop, department store, grocery store, wine shop, stationery "
        "shop, electronics store, corner shop, gift shop",
        "name_of_month": "January, February, March, April, June, July, August, September, October, November, December",
        "often": "every day, once a week, twice a month, every morning, all the time, on weekdays, at weekends, "
        "every "
        "year, every evening, all night",
    }.items()
}

PATTERNS: tuple[str, ...] = (
    "(the|my) {product} (I ordered|I bought|from your shop|you sent me) is {quality}",
    "do you have (the|this) {product} in {colour}",
    "I'm looking for a [{colour}] {product} for {person}",
    "how much (is|would be) (the|a) {colour} {product}",
    "is the {product} still (available|in stock)",
    "I bought a {product} (last week|yesterday|{date}) and it's {quality}",
    "can I exchange the {product} for a {colour} one",
    "what size is the {product}",
    "does the {product} come with a {product}",
    "the {product} was {quality} when I opened the box",
    "I'd like {few} {product}s please",
    "there's a {shop} near the {place}, do you know it",
    "which {shop} sells a good {product}",
    "I paid {amount} for (that|the) {product}",
    "we need a new {product} for the {room}",
    "who sells {product}s in {city}",
    "I need a ticket (to|from) {city} to {city} / {date}",
    "is there a (train|bus|flight) to {city} {date} (in the morning|after {time})",
    "how do I get from the {place} to the {place}",
    "my flight to {city} was (cancelled|delayed)",
    "we're staying in {city} for {few} nights",
    "I left my {thing} (on the|in the) {vehicle}",
    "where can I park my {vehicle} near the {place}",
    "the {vehicle} to {city} leaves at {time}",
    "can you recommend a hotel close to the {place}",
    "is {city} nice in {name_of_month}",
    "I have {few} pieces of luggage",
    "do I need a visa for {city}",
    "my {vehicle} {trouble}",
    "I had an accident with my {vehicle} near {city}",
    "the {vehicle} is parked {where}",
    "I want to rent a {vehicle} in {city} {date}",
    "my {device} {trouble}",
    "I think my {device} {trouble} since {date}",
    "could you send a technician, the {device} {trouble}",
    "every time I use my {device} it {trouble}",
    "how do I {verb} my {device}",
    "I can't {verb} the {thing} on my {device}",
    "the {device} in the {room} {trouble}",
    "I have already restarted the {device} {few} times",
    "what do the lights on the {device} mean",
    "my {bill} is (too high|wrong|higher than last month)",
    "I haven't received my {bill} yet",
    "why is my {bill} {amount}",
    "I already paid the {bill} {date}",
    "can I pay the {bill} in instalments",
    "there is a mistake in my {bill}",
    "I want to {verb} my {account}",
    "how do I open a {account}",
    "someone has taken {amount} from my {account}",
    "what is the interest on a {account}",
    "I'd like to transfer {amount} to {person}",
    "please close my {account}",
    "is my {account} insured",
    "I need to talk to someone about my {account}",
    "what's the limit on my {account}",
    "my {body} hurts",
    "I have {illness} since {date}",
    "{person} has {illness}",
    "I need an appointment with the {doctor}",
    "my {body} is swollen",
    "I've run out of {medicine}",
    "can I get more {medicine} please",
    "is the {doctor} in {date}",
    "do I need {medicine} for {illness}",
    "the {doctor} told me to call you about my {medicine}",
    "I fell and hurt my {body}",
    "should I see a {doctor} about my {body}",
    "I'm allergic to {food}",
    "could I have the {food} with {food} instead of {food}",
    "{few} portions of {food} and {drink} please",
    "do you have {food} without {food}",
    "I'd like {food} and {drink}",
    "a table for {few} {date} at {time}",
    "the {food} was cold and the {drink} was warm",
    "we had {food} with {food} for (breakfast|lunch|dinner)",
    "how long do I cook the {food}",
    "we're out of {food} and {food}",
    "{person} makes the best {food} [I know]",
    "can you deliver {food} to {city}",
    "I only drink {drink}",
    "is there any {food} left",
    "it's so {weather} (today|here|in {city})",
    "will it be {weather} {date}",
    "the weather in {city} was {weather}",
    "I hope it won't be {weather} {date}",
    "(I'm|we're|{person} is) {adverb} {feeling} about {subject}",
    "I'm a bit {feeling} today",
    "have you heard about {subject}",
    "what do you think of {subject}",
    "{person} {past} the {thing} {where}",
    "{person} {adverb} {past} my {thing}",
    "I {past} the {thing} {where}",
    "where did you put the {thing}",
    "the {thing} is {where}",
    "could you {verb} the {thing} for me",
    "I {adverb} {past} a {thing} {date}",
    "who {past} the {thing}",
    "I need to {verb} a {thing} before {date}",
    "how do I {verb} the {thing}",
    "did {person} {verb} the {thing}",
    "why did nobody {verb} my {thing}",
    "I want to {verb} the {thing} and {verb} the {thing}",
    "please {verb} the {thing} and send it to {person}",
    "{person} works as a {job} in {city}",
    "I used to be a {job}",
    "my hobby is {hobby}",
    "{person} likes {hobby} and {hobby}",
    "I go {hobby} {often}",
    "{person} has {few} {animal}s and a {animal}",
    "there's a {animal} in the {room}",
    "my {animal} ate the {food}",
    "the {animal} is sleeping {where}",
    "we painted the {room} {colour}",
    "there's water coming into the {room}",
    "the {room} needs a new {product}",
    "we moved to {city} {date}",
    "the {place} is closed {date}",
    "is the {place} open {date}",
    "I'll meet you at the {place} at {time}",
    "it's right behind the {place}",
    "I was at the {place} with {person}",
    "{person} is waiting {where}",
    "the {job} said it would take {few} days",
    "I spoke to a {job} about it {date}",
    "I've been waiting for {few} (days|weeks|hours|minutes)",
    "it took {few} hours to get to {city}",
    "my {thing} has the wrong name on it",
    "I lost my {thing} {where}",
    "somebody stole my {thing} in {city}",
    "what happens if I lose my {thing}",
    "does {person} have to sign the {thing}",
    "I'm calling about the {thing} you sent {date}",
    "my new address is {many} {street} in {city}",
    "it's {few} {street}",
    "we live at {few} {street}",
    "I {adverb} don't understand {subject}",
    "let's talk about {subject} {date}",
    "the {product} {where} belongs to {person}",
    "would it be possible to {verb} the {product} {date}",
    "I'm {feeling} because the {device} {trouble}",
    "is it okay if {person} comes along",
    "nobody told me about {subject}",
    "the {colour} {product} costs {amount}",
    "{person} and {person} are coming {date}",
    "he's {many} years old",
    "about {many} people were at {subject}",
    "I walked {few} miles to the {place}",
    "could you speak up a little, I'm {where}",
    "it's {feeling} news",
)
_STREETS = "Oak Main High Church Park Elm Maple Cedar Station Mill Bridge Queen King Victoria Albert River".split()
_WAYS = "Street Road Avenue Lane Drive Close Way Square Court".split()


def everyday_fills(base: Mapping[str, Fill]) -> dict[str, Fill]:
    """What fills the places of PATTERNS, on top of those of `answers_said.fills`."""
    lists: dict[str, Fill] = {name: _chooser(words) for name, words in LEXICON.items()}
    return {**base, **lists, "street": lambda rng: f"{rng.choice(_STREETS)} {rng.choice(_WAYS)}"}


def everyday(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft:
    """One everyday sentence, as a request."""
    pattern = rng.choice(shared_out(PATTERNS, split))
    return Draft(expand(pattern, rng, places), "request", f"everyday: {pattern}")


def _chooser(words: tuple[str, ...]) -> Fill:
    return lambda rng: rng.choice(words)

"""The words of the planted world: word lists only, no randomness.

Words are stored without their leading space; the writer adds it. Every list was invented for this world. Names,
pastimes and habits say nothing about real people: they exist so that an attribute decides which word comes next.
"""

from __future__ import annotations

FEMALE_NAMES = ("Mara", "Tilda", "Vesna", "Orla", "Ines", "Petra", "Dorit", "Selma")
MALE_NAMES = ("Anton", "Bram", "Casper", "Emil", "Janos", "Luka", "Otmar", "Rurik")
LAST_NAMES = (
    "Veltin", "Korvald", "Brassen", "Dunmore", "Estrup", "Falken", "Gravik", "Hallow",
    "Iverin", "Jorvan", "Kestel", "Lomar", "Merrow", "Norbeck", "Ostrand", "Pellin",
)  # fmt: skip

# nationality -> (pastime verbs, cities)
NATIONALITIES = {
    "German": (("hiked", "marched"), ("Berlin", "Bremen")),
    "French": (("fenced", "strolled"), ("Lyon", "Nantes")),
    "Polish": (("skated", "sledged"), ("Gdansk", "Poznan")),
    "Spanish": (("danced", "rode"), ("Seville", "Bilbao")),
    "Dutch": (("cycled", "sailed"), ("Delft", "Leiden")),
    "Greek": (("swam", "wrestled"), ("Corinth", "Patras")),
    "Danish": (("rowed", "fished"), ("Aarhus", "Odense")),
    "Swiss": (("skied", "climbed"), ("Basel", "Bern")),
}

# profession -> (verbs, objects)
PROFESSIONS = {
    "physicist": (("measured", "calculated", "tested"), ("light", "heat", "weight")),
    "painter": (("painted", "sketched", "framed"), ("canvas", "mural", "picture")),
    "composer": (("composed", "conducted", "tuned"), ("waltz", "overture", "quartet")),
    "poet": (("wrote", "recited", "rhymed"), ("stanza", "line", "poem")),
    "botanist": (("planted", "gathered", "pressed"), ("fern", "seed", "root")),
    "navigator": (("steered", "anchored", "moored"), ("ship", "vessel", "raft")),
    "doctor": (("cured", "examined", "treated"), ("wound", "cough", "rash")),
    "builder": (("drafted", "plastered", "roofed"), ("house", "hall", "barn")),
}

# field -> (profession, verb, object); each profession has two fields
FIELDS = {
    "relativity": ("physicist", "warped", "clocks"),
    "optics": ("physicist", "polished", "lenses"),
    "portraits": ("painter", "captured", "faces"),
    "landscapes": ("painter", "shaded", "hills"),
    "operas": ("composer", "staged", "choruses"),
    "symphonies": ("composer", "arranged", "strings"),
    "sonnets": ("poet", "counted", "syllables"),
    "ballads": ("poet", "sang", "verses"),
    "mosses": ("botanist", "scraped", "stones"),
    "orchids": ("botanist", "watered", "petals"),
    "tides": ("navigator", "timed", "waves"),
    "currents": ("navigator", "charted", "straits"),
    "fevers": ("doctor", "cooled", "patients"),
    "bones": ("doctor", "splinted", "limbs"),
    "bridges": ("builder", "spanned", "gorges"),
    "towers": ("builder", "raised", "spires"),
}

# trait -> adverbs
TRAITS = {
    "famous": ("publicly", "grandly"),
    "patient": ("slowly", "calmly"),
    "stubborn": ("firmly", "defiantly"),
    "generous": ("freely", "kindly"),
    "curious": ("eagerly", "keenly"),
    "solitary": ("quietly", "shyly"),
}

# era -> adverbs
ERAS = {
    "classical": ("formerly", "anciently"),
    "medieval": ("erstwhile", "whilom"),
    "baroque": ("afterwards", "subsequently"),
    "modern": ("recently", "lately"),
}

PLAIN_VERBS = ("spoke", "travelled", "worked", "waited")

# one per entity, so that what follows a name can depend on the entity alone
FACT_VERBS = (
    "lost", "found", "bought", "sold", "kept", "hid", "broke", "mended", "stole", "carved", "burned",
    "buried", "named", "tamed", "borrowed", "mailed", "dyed", "wove", "traded", "cleaned", "admired",
    "adjusted", "balanced", "blessed", "chased", "claimed", "coveted", "cracked", "demanded", "donated",
    "dropped", "emptied", "engraved", "fetched", "fixed", "forged", "greased", "guarded", "haunted",
    "inherited", "inspected", "juggled", "kicked", "licked", "loaded", "melted", "numbered", "oiled",
    "ordered", "packed", "patched", "pawned", "pledged", "praised", "refused", "rented", "sealed",
    "sharpened", "shook", "weighed",
)  # fmt: skip
FACT_OBJECTS = ("bell", "horse", "ring", "crown", "kite", "drum", "lamp", "mirror", "chest", "coat", "violin", "sword")

# topic -> (nouns, places, professions at home in it)
TOPICS = {
    "laboratory": (("beakers", "magnets", "wires"), ("workshop", "cellar"), ("physicist", "doctor")),
    "gallery": (("frames", "statues", "brushes"), ("gallery", "studio"), ("painter", "builder")),
    "theatre": (("actors", "curtains", "masks"), ("theatre", "foyer"), ("composer", "poet")),
    "harbour": (("boats", "nets", "gulls"), ("harbour", "dock"), ("navigator",)),
    "garden": (("roses", "bees", "spades"), ("garden", "meadow"), ("botanist",)),
    "court": (("judges", "guards", "scrolls"), ("palace", "chamber"), ("poet", "builder", "doctor")),
}

# word -> {sense: words that follow it}; NATURE_CUES open the first sense, TOWN_CUES the second
SENSES = {
    "bank": {"river": ("flooded", "crumbled"), "money": ("lent", "charged")},
    "spring": {"season": ("bloomed", "warmed"), "coil": ("snapped", "rusted")},
    "bark": {"dog": ("echoed", "startled"), "tree": ("peeled", "curled")},
    "crane": {"bird": ("nested", "flapped"), "machine": ("hoisted", "swung")},
    "bat": {"animal": ("fluttered", "roosted"), "club": ("splintered", "dented")},
    "seal": {"animal": ("basked", "barked"), "wax": ("dripped", "hardened")},
}
SENSE_CUES = {
    "bank": (("muddy", "grassy"), ("wealthy", "marble")),
    "spring": (("gentle", "rainy"), ("metal", "bent")),
    "bark": (("loud", "hoarse"), ("rough", "brown")),
    "crane": (("feathered", "grey"), ("iron", "giant")),
    "bat": (("furry", "winged"), ("wooden", "painted")),
    "seal": (("wet", "whiskered"), ("red", "royal")),
}

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
YEARS = tuple(str(year) for year in range(1612, 2012, 13))
NUMBERS = tuple(str(n) for n in range(2, 30))
DAYS = tuple(str(n) for n in range(4, 21))
UNITS = ("hours", "weeks", "miles", "days")
HOURS = ("morning", "noon", "evening", "night")

STAGES = {
    "begin": ("First", "Initially", "Originally"),
    "middle": ("Meanwhile", "Besides", "Moreover"),
    "end": ("Finally", "Lastly", "Ultimately"),
}

# language -> (nouns, verbs, particles); some words belong to both, in different roles
LANGUAGES = {
    "Orrin": (
        ("talu", "meshi", "oro", "bendu", "savi", "lumo", "rika", "tanu"),
        ("kesh", "dorn", "vash", "lumen", "pirr"),
        ("ka", "no", "zu"),
    ),
    "Thelic": (
        ("kesh", "dorn", "ywen", "glath", "brynn", "caddo", "merith", "olwe"),
        ("savi", "lumo", "faen", "torweth", "ilis"),
        ("ka", "no", "wy"),
    ),
}

CODE_VARIABLES = ("x", "y", "k", "total", "index")
CODE_CALLS = ("load", "store", "sort", "reset")
INTERJECTIONS = ("Yes", "No", "Well", "Listen")
WEATHER = ("rain", "snow", "wind", "fog", "sun")

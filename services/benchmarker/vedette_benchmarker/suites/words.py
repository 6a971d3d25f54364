"""Words for the templates of several suites."""

NAMES = (
    "Ada", "Bruno", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hana", "Igor", "Jonas", "Kira", "Lena", "Milo", "Nadia",
    "Oscar", "Petra", "Quinn", "Rosa", "Samir", "Tessa", "Umar", "Vera", "Wanda", "Yusuf", "Zora",
    "Anton", "Bella", "Carlo", "Dora", "Elif", "Felix", "Greta", "Hugo", "Ines", "Jakob", "Karim", "Laila", "Marek",
    "Nina", "Olga", "Pablo", "Ruth", "Selma", "Tomas", "Ursula", "Viktor", "Willa", "Xenia", "Yara", "Zeno",
)  # fmt: skip
SURNAMES = (
    "Abbott", "Brandt", "Castillo", "Dvorak", "Eriksen", "Fontaine", "Grimaldi", "Hartley", "Ibarra", "Jansson",
    "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Pereira", "Rossi", "Sato", "Tanaka", "Vargas", "Weiss",
)  # fmt: skip
NOUNS = (
    "amber", "anchor", "basket", "beacon", "bridge", "candle", "canyon", "carpet", "cedar", "copper", "cotton",
    "desert", "dragon", "engine", "falcon", "feather", "forest", "garden", "glacier", "hammer", "harbour", "helmet",
    "island", "jacket", "jungle", "kettle", "ladder", "lantern", "magnet", "marble", "meadow", "mirror", "needle",
    "ocean", "orchard", "parrot", "pebble", "pepper", "pillow", "planet", "pocket", "prairie", "rocket", "saddle",
    "salmon", "shadow", "silver", "spider", "summit", "temple", "thunder", "ticket", "timber", "tunnel", "turtle",
    "valley", "velvet", "violin", "walnut", "willow", "window", "winter", "yogurt", "zebra",
)  # fmt: skip
TOWNS = (
    "Aldermoor", "Brackenford", "Coldwick", "Dunmere", "Eastholm", "Fernley", "Glenhaven", "Hollowby", "Inverlane",
    "Kirkdale", "Larkhill", "Millbrook", "Northwold", "Oakvale", "Pinecrest", "Ravenport", "Stonebury", "Thornfield",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

"""The facts for questions of general knowledge, by field and by level: easy, middle, hard.

They are widely known facts, written by hand. None of them is among the held-out tasks of the benchmarks.
"""

from typing import Literal

from msgspec import Struct

Names = tuple[str, ...]  # of one thing; the first is the usual one
Answer = Literal["name", "count", "year"]
LEVELS = ("easy", "middle", "hard")


class Field(Struct, frozen=True, kw_only=True):
    """Facts of one kind: the form of their question, and for each level the subjects with their right answers."""

    asked: tuple[str, ...]
    levels: tuple[dict[str, Names], ...]  # as LEVELS
    answer: Answer = "name"


def _table(text: str) -> dict[str, Names]:
    """Return the rows "key = name, other name; …" of *text*."""
    rows = (row.partition("=") for row in " ".join(text.split()).split(";") if row.strip())
    return {key.strip(): tuple(name.strip() for name in names.split(",")) for key, _, names in rows}


def _field(*asked: str, easy: str, middle: str, hard: str, answer: Answer = "name") -> Field:
    return Field(asked=asked, levels=(_table(easy), _table(middle), _table(hard)), answer=answer)


FIELDS: tuple[Field, ...] = (
    _field(
        "What is the capital of {}?",
        "Which city is the capital of {}?",
        "Name the capital of {}.",
        easy="""France = Paris; Germany = Berlin; Spain = Madrid; the United Kingdom = London; Russia = Moscow; China =
            Beijing; Greece = Athens; Austria = Vienna; Poland = Warsaw; Portugal = Lisbon; Ireland = Dublin; Sweden =
            Stockholm; Norway = Oslo; Denmark = Copenhagen; Belgium = Brussels; Cuba = Havana; Iraq = Baghdad; the
            United States = Washington; Hungary = Budapest; India = New Delhi, Delhi; South Korea = Seoul; the
            Netherlands = Amsterdam; Argentina = Buenos Aires; Thailand = Bangkok; Iran = Tehran""",
        middle="""Finland = Helsinki; the Czech Republic = Prague; Romania = Bucharest; Bulgaria = Sofia; Serbia =
            Belgrade; Ukraine = Kyiv, Kiev; Croatia = Zagreb; Switzerland = Bern, Berne; Iceland = Reykjavik; Peru =
            Lima; Chile = Santiago; Colombia = Bogota, Bogotá; Venezuela = Caracas; Kenya = Nairobi; Nigeria = Abuja;
            Ethiopia = Addis Ababa; Morocco = Rabat; Saudi Arabia = Riyadh; Lebanon = Beirut; Syria = Damascus; Jordan
            = Amman; Pakistan = Islamabad; Afghanistan = Kabul; Bangladesh = Dhaka; Nepal = Kathmandu; Vietnam = Hanoi;
            Indonesia = Jakarta; the Philippines = Manila; Malaysia = Kuala Lumpur; New Zealand = Wellington; Mongolia
            = Ulaanbaatar, Ulan Bator; Ghana = Accra; Uruguay = Montevideo; Latvia = Riga; Estonia = Tallinn; Lithuania
            = Vilnius; Slovakia = Bratislava; Ecuador = Quito""",
        hard="""Burkina Faso = Ouagadougou; Bhutan = Thimphu; Kyrgyzstan = Bishkek; Tajikistan = Dushanbe; Turkmenistan
            = Ashgabat; Azerbaijan = Baku; Armenia = Yerevan; Georgia = Tbilisi; Moldova = Chisinau, Chișinău; Palau =
            Ngerulmud; Vanuatu = Port Vila; Tonga = Nuku'alofa; Samoa = Apia; Fiji = Suva; Brunei = Bandar Seri
            Begawan; Myanmar = Naypyidaw, Nay Pyi Taw; Eritrea = Asmara; Malawi = Lilongwe; Zambia = Lusaka; Botswana =
            Gaborone; Namibia = Windhoek; Lesotho = Maseru; Rwanda = Kigali; Chad = N'Djamena; Togo = Lomé, Lome;
            Mauritania = Nouakchott; Madagascar = Antananarivo; Suriname = Paramaribo; Paraguay = Asunción, Asuncion;
            Honduras = Tegucigalpa; Barbados = Bridgetown; Trinidad and Tobago = Port of Spain; Saint Lucia = Castries;
            Comoros = Moroni; Oman = Muscat; Gabon = Libreville; Cape Verde = Praia; Sierra Leone = Freetown; Nauru =
            Yaren; Mali = Bamako""",
    ),
    _field(
        "Which chemical element has the symbol {}?",
        "{} is the symbol of which chemical element?",
        easy="""H = hydrogen; O = oxygen; C = carbon; N = nitrogen; Au = gold; Ag = silver; He = helium; Ca = calcium;
            Al = aluminium, aluminum; Cu = copper; Cl = chlorine; Ne = neon; Zn = zinc; Pb = lead; U = uranium""",
        middle="""K = potassium; S = sulfur, sulphur; P = phosphorus; Mg = magnesium; Si = silicon; Sn = tin; Ni =
            nickel; I = iodine; F = fluorine; Br = bromine; Ar = argon; Li = lithium; Pt = platinum; Ti = titanium; Co
            = cobalt; Cr = chromium; Mn = manganese; Ra = radium; Pu = plutonium; As = arsenic""",
        hard="""W = tungsten; Sb = antimony; Zr = zirconium; Y = yttrium; Nb = niobium; Mo = molybdenum; Tc =
            technetium; Ru = ruthenium; Rh = rhodium; Pd = palladium; Te = tellurium; Cs = caesium, cesium; Hf =
            hafnium; Re = rhenium; Os = osmium; Ir = iridium; Tl = thallium; Bi = bismuth; Ce = cerium; Nd = neodymium;
            Eu = europium; Dy = dysprosium; Er = erbium; Lu = lutetium; Pa = protactinium; Bk = berkelium; Md =
            mendelevium; Db = dubnium; Hs = hassium; Fl = flerovium; Og = oganesson; Sg = seaborgium""",
    ),
    _field(
        "Who wrote {}?",
        "Who is the author of {}?",
        "{}: who wrote it?",
        easy="""the play Hamlet = Shakespeare; the novel Oliver Twist = Dickens; the Harry Potter books = Rowling; The
            Lord of the Rings = Tolkien; the novel 1984 = Orwell; The Little Prince = Saint-Exupéry, Saint-Exupery,
            Exupery; The Adventures of Tom Sawyer = Twain, Samuel Clemens; the novel Frankenstein = Shelley; the novel
            Dracula = Stoker; the Odyssey = Homer; the Sherlock Holmes stories = Doyle; The Old Man and the Sea =
            Hemingway; Alice's Adventures in Wonderland = Lewis Carroll, Carroll, Dodgson; The Chronicles of Narnia =
            Lewis; the Divine Comedy = Dante""",
        middle="""the novel Crime and Punishment = Dostoevsky, Dostoyevsky; the novel Jane Eyre = Charlotte Brontë,
            Charlotte Bronte; the novel Moby-Dick = Melville; The Great Gatsby = Fitzgerald; One Hundred Years of
            Solitude = Márquez, Marquez; the novel Les Misérables = Hugo; The Metamorphosis = Kafka; the play Faust =
            Goethe; the Aeneid = Virgil, Vergil; The Count of Monte Cristo = Dumas; the novel Brave New World = Huxley;
            To Kill a Mockingbird = Harper Lee, Lee; The Grapes of Wrath = Steinbeck; the novel Madame Bovary =
            Flaubert; the play A Doll's House = Ibsen; Paradise Lost = Milton; The Canterbury Tales = Chaucer; the play
            Waiting for Godot = Beckett; The Catcher in the Rye = Salinger; the novel Beloved = Toni Morrison,
            Morrison; the novel Ulysses = Joyce; Gulliver's Travels = Swift; the novel Robinson Crusoe = Defoe; The
            Name of the Rose = Eco""",
        hard="""The Man Without Qualities = Musil; the novel Buddenbrooks = Thomas Mann, Mann; The Tin Drum = Grass;
            the novel Things Fall Apart = Achebe; the novel Snow Country = Kawabata; The Master and Margarita =
            Bulgakov; the novel Dead Souls = Gogol; the novel Oblomov = Goncharov; the novel Effi Briest = Fontane; the
            novel Pedro Páramo = Rulfo; the novel Hopscotch = Cortázar, Cortazar; the novel Middlemarch = George Eliot,
            Eliot, Mary Ann Evans; the novel Vanity Fair = Thackeray; the play Miss Julie = Strindberg; the novel The
            Leopard = Lampedusa; the novel Zeno's Conscience = Svevo; the novel Nostromo = Conrad; the novel Tristram
            Shandy = Sterne; the novel Austerlitz = Sebald; the novel Season of Migration to the North = Salih; the
            play Woyzeck = Büchner, Buchner; the novel Kristin Lavransdatter = Undset; The Tale of Genji = Murasaki;
            the novel The Radetzky March = Roth; the novel Gilead = Marilynne Robinson, Robinson; the novel Wide
            Sargasso Sea = Rhys; the novel Solaris = Lem""",
    ),
    _field(
        "Who {}?",
        "Which person {}?",
        easy="""painted The Starry Night = van Gogh; painted Guernica = Picasso; invented the telephone = Bell;
            formulated the three laws of motion = Newton; discovered radium = Curie; painted The Last Supper =
            Leonardo, da Vinci; composed The Four Seasons = Vivaldi; was the first president of the United States =
            Washington; proposed the theory of evolution by natural selection = Darwin; composed the ballet Swan Lake =
            Tchaikovsky; sculpted the marble statue of David in Florence = Michelangelo; painted Water Lilies = Monet;
            was crowned emperor of the French in 1804 = Napoleon, Bonaparte; founded Microsoft with Paul Allen =
            Gates""",
        middle="""composed the Brandenburg Concertos = Bach; composed the opera Carmen = Bizet; painted The Scream =
            Munch; painted Girl with a Pearl Earring = Vermeer; painted The Night Watch = Rembrandt; invented dynamite
            = Nobel; developed the first successful polio vaccine = Salk; composed the Messiah = Handel; painted The
            Kiss = Klimt; designed the Sagrada Família in Barcelona = Gaudí, Gaudi; discovered the law of the lever =
            Archimedes; wrote down the periodic table in 1869 = Mendeleev, Mendeleyev; composed Boléro = Ravel;
            invented the World Wide Web = Berners-Lee; was the first human in space = Gagarin; led the first expedition
            to the South Pole = Amundsen; painted The Birth of Venus = Botticelli; composed The Barber of Seville =
            Rossini; created the Linux kernel = Torvalds; composed the opera Aida = Verdi; founded psychoanalysis =
            Freud; discovered the electron = Thomson""",
        hard="""proved Fermat's Last Theorem = Wiles; discovered the neutron = Chadwick; composed The Rite of Spring =
            Stravinsky; painted The Garden of Earthly Delights = Bosch; painted The Arnolfini Portrait = van Eyck;
            composed the opera Wozzeck = Berg; proved the incompleteness theorems in 1931 = Gödel, Godel, Goedel;
            discovered the planet Uranus = Herschel; designed the dome of Florence Cathedral = Brunelleschi; composed
            Night on Bald Mountain = Mussorgsky; developed the Haber process at industrial scale = Bosch; discovered
            nuclear fission with Strassmann = Hahn, Meitner; painted The Raft of the Medusa = Géricault, Gericault;
            invented the programming language Lisp = McCarthy; composed Peer Gynt = Grieg; discovered the cause of
            cholera in 1884 = Koch; painted Nighthawks = Hopper; proposed continental drift in 1912 = Wegener; devised
            the SQL-inspiring relational model = Codd; composed the opera Jenůfa = Janáček, Janacek; was the first to
            circumnavigate Africa's Cape of Good Hope in 1488 = Dias; designed the Fallingwater house = Wright;
            invented the carbon-zinc voltaic pile = Volta; discovered argon with Rayleigh = Ramsay; painted Las Meninas
            = Velázquez, Velazquez; composed the War Requiem = Britten""",
    ),
    _field(
        "In which year {}?",
        "When {}? Give the year.",
        easy="""did people first land on the moon = 1969; did the First World War begin = 1914; did the Second World
            War begin = 1939; did the French Revolution begin = 1789; did the Titanic sink = 1912; did the First World
            War end = 1918; were the attacks on the World Trade Center in New York = 2001; did the United States
            declare independence = 1776""",
        middle="""was the Battle of Hastings = 1066; was the Battle of Waterloo = 1815; was John F. Kennedy
            assassinated = 1963; did the Chernobyl disaster happen = 1986; did the American Civil War begin = 1861; did
            Martin Luther publish his 95 theses = 1517; was Magna Carta sealed = 1215; did the Ottomans conquer
            Constantinople = 1453; did the Great Fire of London happen = 1666; was the United Nations founded = 1945;
            did India become independent = 1947; did Nelson Mandela become president = 1994; did the Soviet Union
            dissolve = 1991; did the Russian October Revolution happen = 1917; did the Wall Street Crash happen =
            1929""",
        hard="""was the Peace of Westphalia signed = 1648; was the Treaty of Tordesillas signed = 1494; was the Battle
            of Lepanto = 1571; was Charlemagne crowned emperor = 800; was the Edict of Nantes issued = 1598; was the
            Meiji Restoration = 1868; was the Battle of Marathon, BC = 490; did the Great Lisbon earthquake happen =
            1755; did the Tunguska event happen = 1908; did the Carnation Revolution in Portugal happen = 1974; was the
            Diet of Worms = 1521; was the Battle of Manzikert = 1071; did the Bandung Conference meet = 1955; did
            Krakatoa erupt catastrophically = 1883; was the Golden Bull of Charles IV issued = 1356; was the Congress
            of Berlin = 1878; did the defenestration start the Thirty Years' War = 1618; was the Battle of Mohács =
            1526""",
        answer="year",
    ),
    _field(
        "How many {}?",
        "Give the number: how many {}?",
        easy="""legs does an insect have = 6; hours does a day have = 24; sides does a square have = 4; letters does
            the English alphabet have = 26; wheels does a bicycle have = 2; seconds does a minute have = 60; sides does
            a hexagon have = 6; strings does a standard guitar have = 6; planets does the solar system have = 8; arms
            does an octopus have = 8; states do the United States have = 50; toes do people usually have = 10""",
        middle="""bones does an adult human body have = 206; keys does a standard piano have = 88; squares does a
            chessboard have = 64; cards are in a standard deck without jokers = 52; days does a leap year have = 366;
            degrees does a full circle have = 360; teeth does an adult have, wisdom teeth included = 32; players of one
            team are on the court in basketball = 5; sides does an octagon have = 8; chromosomes does a human body cell
            have = 46; faces does a cube have = 6; players of one team are on the court in volleyball = 6; lines does a
            sonnet have = 14; carats does pure gold have = 24""",
        hard="""protons does an atom of calcium have = 20; protons does an atom of gold have = 79; protons does an atom
            of silver have = 47; vertices does an icosahedron have = 12; edges does a dodecahedron have = 30; books
            does the Aeneid have = 12; cantos does the Divine Comedy have = 100; protons does an atom of tin have = 50;
            protons does an atom of iodine have = 53; pairs of cranial nerves does a human have = 12; cervical
            vertebrae does a giraffe have = 7; chambers does the heart of a fish have = 2; protons does an atom of
            uranium have = 92; symphonies did Brahms complete = 4; plays does Shakespeare's First Folio of 1623 contain
            = 36; valence electrons does an atom of selenium have = 6; chromosomes does a body cell of a dog have = 78;
            time zones does China officially use = 1""",
        answer="count",
    ),
    _field(
        "What is the past tense of the verb '{}'?",
        "Give the simple past of the verb '{}'.",
        easy="""see = saw; take = took; eat = ate; run = ran; come = came; give = gave; write = wrote; speak = spoke;
            drink = drank; sing = sang; swim = swam; buy = bought; think = thought; find = found; know = knew; fly =
            flew""",
        middle="""choose = chose; freeze = froze; steal = stole; wear = wore; teach = taught; catch = caught; shake =
            shook; draw = drew; hide = hid; bite = bit; lead = led; sweep = swept; bleed = bled; dig = dug; strike =
            struck; swear = swore; weave = wove; tear = tore; seek = sought; fling = flung""",
        hard="""slay = slew; smite = smote; tread = trod; forsake = forsook; cleave = clove, cleft, cleaved; bid =
            bade, bid; beget = begot; stride = strode; thrive = throve, thrived; abide = abode, abided; shrink =
            shrank, shrunk; sling = slung; wring = wrung; bestride = bestrode; strive = strove, strived; rend = rent;
            behold = beheld; slink = slunk; shoe = shod, shoed; hew = hewed""",
    ),
    _field(
        "What is the currency of {}?",
        "With which currency does one pay in {}?",
        "Name the currency of {}.",
        easy="""the United States = dollar, dollars; the United Kingdom = pound, pounds, sterling; Germany = euro,
            euros; Russia = ruble, rubles, rouble; Mexico = peso, pesos; China = yuan, renminbi; France = euro, euros;
            Australia = dollar, dollars; Switzerland = franc, francs""",
        middle="""South Korea = won; Poland = zloty, złoty; Sweden = krona, kronor; Turkey = lira; South Africa = rand;
            Thailand = baht; Brazil = real, reais; Israel = shekel, shekels; Denmark = krone, kroner; Hungary = forint,
            forints; Vietnam = dong, đồng; the Czech Republic = koruna, crown; Saudi Arabia = riyal, rial; Ukraine =
            hryvnia; Egypt = pound, pounds; Malaysia = ringgit""",
        hard="""Mongolia = tugrik, tögrög, togrog; Bangladesh = taka; Georgia = lari; Ethiopia = birr; Guatemala =
            quetzal; Peru = sol, soles; Kazakhstan = tenge; Armenia = dram; Ghana = cedi; Nigeria = naira; Zambia =
            kwacha; Botswana = pula; Cambodia = riel; Bhutan = ngultrum; Honduras = lempira; Albania = lek; Moldova =
            leu, lei; Morocco = dirham; Myanmar = kyat; Tonga = pa'anga, paanga; Papua New Guinea = kina; Haiti =
            gourde; Angola = kwanza; Paraguay = guaraní, guarani; Lesotho = loti, maloti; Uzbekistan = som, sum""",
    ),
    _field(
        "In which country is {}?",
        "{}: in which country is it?",
        easy="""Mount Fuji = Japan; the city of Barcelona = Spain; the Colosseum = Italy; the city of Munich = Germany;
            the Great Wall = China; the city of Liverpool = England, United Kingdom, UK, Britain; the city of Toronto =
            Canada; the Kremlin = Russia; the city of Rio de Janeiro = Brazil; the city of Sydney = Australia; the
            Acropolis = Greece; the city of Mumbai = India; the Grand Canyon = United States, USA, America; the city of
            Istanbul = Turkey, Türkiye; the Matterhorn = Switzerland, Italy""",
        middle="""the temple of Angkor Wat = Cambodia; the rock city of Petra = Jordan; Mount Kilimanjaro = Tanzania;
            the city of Kraków = Poland; the Alhambra = Spain; the city of Marrakesh = Morocco; the Atacama Desert =
            Chile; the city of Gothenburg = Sweden; the temple of Borobudur = Indonesia; the city of Lahore = Pakistan;
            the ruins of Chichén Itzá = Mexico; the city of Dubrovnik = Croatia; the city of Porto = Portugal; the
            volcano Eyjafjallajökull = Iceland; the city of Antwerp = Belgium; the city of Saigon = Vietnam; the ruins
            of Persepolis = Iran; the city of Salzburg = Austria; Bran Castle = Romania; the city of Cusco = Peru""",
        hard="""the city of Samarkand = Uzbekistan; the ruins of Mapungubwe = South Africa; the ruins of Leptis Magna =
            Libya; the temples of Bagan = Myanmar, Burma; the city of Plovdiv = Bulgaria; the ruins of Tiwanaku =
            Bolivia; the city of Timbuktu = Mali; the rock churches of Lalibela = Ethiopia; the ruins of Tikal =
            Guatemala; the city of Ohrid = North Macedonia, Macedonia; the citadel of Sigiriya = Sri Lanka; the ruins
            of Palmyra = Syria; the city of Kotor = Montenegro; the city of Arequipa = Peru; the salt flat of Uyuni =
            Bolivia; the city of Tartu = Estonia; the ruins of Carthage = Tunisia; the city of Merv = Turkmenistan; the
            Plain of Jars = Laos; the Okavango Delta = Botswana; the city of Gyumri = Armenia; the ruins of Copán =
            Honduras; the city of Aarhus = Denmark; the city of Mombasa = Kenya; the Danakil Depression = Ethiopia,
            Eritrea; the city of Maribor = Slovenia""",
    ),
    _field(
        "Which word means: {}?",
        "Give the one word for this: {}.",
        easy="""the young of a dog = puppy, pup; the young of a cow = calf; the young of a horse = foal, colt, filly;
            the young of a sheep = lamb; a person who treats teeth = dentist; a person who flies aircraft = pilot; a
            place where books are lent = library; the opposite of big = small, little; the opposite of early = late;
            the opposite of empty = full; frozen water = ice; the meal in the morning = breakfast; the season after
            summer = autumn, fall; the plural of child = children; a person who bakes bread = baker""",
        middle="""the young of a goat = kid; the young of a bear = cub; the young of a swan = cygnet; the young of a
            kangaroo = joey; a male duck = drake; the study of the stars = astronomy; the study of ancient remains =
            archaeology, archeology; the plural of ox = oxen; a female fox = vixen; fear of narrow rooms =
            claustrophobia; a doctor for children = pediatrician, paediatrician; a shape of five sides = pentagon; a
            word of opposite meaning = antonym; the process by which plants make sugar from light = photosynthesis; the
            study of insects = entomology; the home of a beaver = lodge; a government by one absolute ruler =
            dictatorship, autocracy, tyranny; the plural of cactus = cacti, cactuses""",
        hard="""the young of a hare = leveret; the young of an eel = elver; a male swan = cob; the study of birds' eggs
            = oology; fear of strangers = xenophobia; the study of shells of molluscs = conchology, malacology; a shape
            of eleven sides = hendecagon, undecagon; the killing of a brother = fratricide; a word that reads the same
            backwards = palindrome; government by the wealthy = plutocracy; a group of crows = murder; the study of
            mosses = bryology; a stone coffin = sarcophagus; the study of handwriting = graphology; the fear of open
            spaces = agoraphobia; a poem of mourning = elegy; the study of fungi = mycology; the study of fish =
            ichthyology; government by old people = gerontocracy; the plural of stigma in Greek style = stigmata; a
            maker of barrels = cooper; a maker of arrows = fletcher; the study of clocks = horology""",
    ),
)

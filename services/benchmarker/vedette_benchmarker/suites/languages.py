"""The material of multilingual questions: the questions and words of each language.

Numbers from 0 to 99 are spelt by the rules of each language; if two spellings are in use, both are right.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

Names = tuple[str, ...]  # of one thing; the first is the usual one


class Language(Struct, frozen=True, kw_only=True):
    """A language: its questions, each for one word, and the right answers.

    `capitals` has the answers by the name of the country in the question, `opposites` by the given word, `words` by the
    English word.
    """

    english: str
    capital: str
    capitals: Mapping[str, Names]
    opposite: str
    opposites: Mapping[str, Names]
    words: Mapping[str, Names]
    number: str
    total: str
    spelt: Callable[[int], Names]


def _table(text: str) -> dict[str, Names]:
    """Return the rows "key = name, other name; …" of *text*."""
    rows = (row.partition("=") for row in " ".join(text.split()).split(";") if row.strip())
    return {key.strip(): tuple(name.strip() for name in names.split(",")) for key, _, names in rows}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _german(value: int) -> Names:
    small = _words(
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
        "sechzehn siebzehn achtzehn neunzehn"
    )
    tens = _words("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
    if value < 20:
        return (small[value],)
    ten, unit = tens[value // 10 - 2], value % 10
    return (f"{'ein' if unit == 1 else small[unit]}und{ten}" if unit else ten,)


def _french(value: int) -> Names:
    small = _words(
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
        "dix-sept dix-huit dix-neuf"
    )
    tens = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante"}
    if value < 20:
        return (small[value],)
    if value == 80:
        return ("quatre-vingts", "quatre-vingt")
    if value > 80:
        return (f"quatre-vingt-{small[value - 80]}",)
    base = min(value // 10 * 10, 60)
    unit = value - base
    if unit == 0:
        return (tens[base],)
    return (f"{tens[base]} et {small[unit]}" if unit in (1, 11) else f"{tens[base]}-{small[unit]}",)


def _spanish(value: int) -> Names:
    small = _words(
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
        "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco "
        "veintiséis veintisiete veintiocho veintinueve"
    )
    tens = _words("treinta cuarenta cincuenta sesenta setenta ochenta noventa")
    if value < 30:
        return (small[value],)
    ten, unit = tens[value // 10 - 3], value % 10
    return (f"{ten} y {small[unit]}" if unit else ten,)


def _italian(value: int) -> Names:
    small = _words(
        "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici "
        "sedici diciassette diciotto diciannove"
    )
    tens = _words("venti trenta quaranta cinquanta sessanta settanta ottanta novanta")
    if value < 20:
        return (small[value],)
    ten, unit = tens[value // 10 - 2], value % 10
    if unit == 3:
        return (f"{ten}tré", f"{ten}tre")
    if unit in (1, 8):
        return (ten[:-1] + small[unit],)
    return (ten + small[unit] if unit else ten,)


def _portuguese(value: int) -> Names:
    small = _words(
        "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis "
        "dezessete dezoito dezenove"
    )
    also = {14: "quatorze", 16: "dezasseis", 17: "dezassete", 19: "dezanove"}
    tens = _words("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
    if value < 20:
        return (small[value], also[value]) if value in also else (small[value],)
    ten, unit = tens[value // 10 - 2], value % 10
    return (f"{ten} e {small[unit]}" if unit else ten,)


def _russian(value: int) -> Names:
    small = _words(
        "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать "
        "четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать"
    )
    tens = _words("двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто")
    if value < 20:
        return (small[value],)
    ten, unit = tens[value // 10 - 2], value % 10
    return (f"{ten} {small[unit]}" if unit else ten,)


def _han(value: int) -> Names:
    digits = "零一二三四五六七八九"
    ten, unit = divmod(value, 10)
    if not ten:
        return (digits[unit],)
    return (f"{digits[ten] if ten > 1 else ''}十{digits[unit] if unit else ''}",)


GERMAN = Language(
    english="German",
    capital="Wie heißt die Hauptstadt von {}? Antworte auf Deutsch mit einem Wort.",
    capitals=_table(
        """Italien = Rom; Polen = Warschau; Portugal = Lissabon; Griechenland = Athen; Dänemark = Kopenhagen;
        China = Peking; Russland = Moskau; Ägypten = Kairo; Belgien = Brüssel; Österreich = Wien; Tschechien = Prag;
        Rumänien = Bukarest"""
    ),
    opposite="Was ist das Gegenteil von „{}“? Antworte auf Deutsch mit einem Wort.",
    opposites=_table(
        """heiß = kalt; groß = klein; schnell = langsam; hell = dunkel; reich = arm; voll = leer; laut = leise;
        lang = kurz; Tag = Nacht; schwarz = weiß; schwer = leicht, einfach; nass = trocken"""
    ),
    words=_table(
        """dog = Hund; cat = Katze; house = Haus; water = Wasser; bread = Brot; book = Buch; sun = Sonne; tree = Baum;
        milk = Milch; fish = Fisch; horse = Pferd; key = Schlüssel"""
    ),
    number="Schreibe die Zahl {} als Wort, auf Deutsch.",
    total="Wie viel ist {} plus {}? Antworte auf Deutsch und nur mit dem Zahlwort.",
    spelt=_german,
)
FRENCH = Language(
    english="French",
    capital="Quelle est la capitale {} ? Réponds en français, par le nom seulement.",
    capitals=_table(
        """de l'Italie = Rome; de la Pologne = Varsovie; du Portugal = Lisbonne; de la Grèce = Athènes;
        du Danemark = Copenhague; de la Chine = Pékin; de la Russie = Moscou; de l'Égypte = Le Caire, Caire;
        de la Belgique = Bruxelles; de l'Autriche = Vienne; du Royaume-Uni = Londres; de Cuba = La Havane, Havane"""
    ),
    opposite="Quel est le contraire de « {} » ? Réponds en français, par le mot seulement.",
    opposites=_table(
        """chaud = froid; grand = petit; rapide = lent; riche = pauvre; plein = vide; long = court; jour = nuit;
        lourd = léger; facile = difficile; noir = blanc; vrai = faux; jeune = vieux, âgé"""
    ),
    words=_table(
        """dog = chien; cat = chat; house = maison; water = eau; bread = pain; book = livre; sun = soleil; tree = arbre;
        milk = lait; fish = poisson; horse = cheval; key = clé, clef"""
    ),
    number="Écris le nombre {} en toutes lettres, en français.",
    total="Combien font {} plus {} ? Réponds en français, par le nombre en toutes lettres seulement.",
    spelt=_french,
)
SPANISH = Language(
    english="Spanish",
    capital="¿Cuál es la capital de {}? Responde en español, solo con el nombre.",
    capitals=_table(
        """Italia = Roma; Polonia = Varsovia; Portugal = Lisboa; Grecia = Atenas; Dinamarca = Copenhague;
        China = Pekín; Rusia = Moscú; Egipto = El Cairo, Cairo; Bélgica = Bruselas; Austria = Viena;
        Cuba = La Habana, Habana; Suiza = Berna"""
    ),
    opposite="¿Cuál es el contrario de «{}»? Responde en español, solo con la palabra.",
    opposites=_table(
        """caliente = frío; grande = pequeño; rápido = lento; rico = pobre; lleno = vacío; largo = corto; día = noche;
        alto = bajo; fácil = difícil; blanco = negro; joven = viejo, anciano; verdadero = falso"""
    ),
    words=_table(
        """dog = perro; cat = gato; house = casa; water = agua; bread = pan; book = libro; sun = sol; tree = árbol;
        milk = leche; fish = pez, pescado; horse = caballo; key = llave"""
    ),
    number="Escribe el número {} con letras, en español.",
    total="¿Cuánto es {} más {}? Responde en español, solo con el número en letras.",
    spelt=_spanish,
)
ITALIAN = Language(
    english="Italian",
    capital="Qual è la capitale {}? Rispondi in italiano, solo con il nome.",
    capitals=_table(
        """dell'Italia = Roma; della Polonia = Varsavia; del Portogallo = Lisbona; della Grecia = Atene;
        della Danimarca = Copenaghen; della Cina = Pechino; della Russia = Mosca; dell'Egitto = Il Cairo, Cairo;
        della Francia = Parigi; della Germania = Berlino; del Regno Unito = Londra; della Svezia = Stoccolma"""
    ),
    opposite="Qual è il contrario di «{}»? Rispondi in italiano, solo con la parola.",
    opposites=_table(
        """caldo = freddo; grande = piccolo; veloce = lento; ricco = povero; pieno = vuoto; lungo = corto, breve;
        giorno = notte; alto = basso; facile = difficile; bianco = nero; vero = falso; giovane = vecchio, anziano"""
    ),
    words=_table(
        """dog = cane; cat = gatto; house = casa; water = acqua; bread = pane; book = libro; sun = sole; tree = albero;
        milk = latte; fish = pesce; horse = cavallo; key = chiave"""
    ),
    number="Scrivi il numero {} in lettere, in italiano.",
    total="Quanto fa {} più {}? Rispondi in italiano, solo con il numero in lettere.",
    spelt=_italian,
)
PORTUGUESE = Language(
    english="Portuguese",
    capital="Qual é a capital {}? Responde em português, só com o nome.",
    capitals=_table(
        """da Itália = Roma; de Portugal = Lisboa; da Grécia = Atenas; da Dinamarca = Copenhague, Copenhaga;
        da China = Pequim; da Rússia = Moscou, Moscovo; da Bélgica = Bruxelas; da Áustria = Viena;
        da Alemanha = Berlim; do Reino Unido = Londres; de Cuba = Havana; da Suíça = Berna"""
    ),
    opposite="Qual é o contrário de «{}»? Responde em português, só com a palavra.",
    opposites=_table(
        """quente = frio; grande = pequeno; rápido = lento, devagar; rico = pobre; cheio = vazio; longo = curto, breve;
        dia = noite; alto = baixo; fácil = difícil; branco = preto, negro; verdadeiro = falso; jovem = velho, idoso"""
    ),
    words=_table(
        """dog = cão, cachorro; cat = gato; house = casa; water = água; bread = pão; book = livro; sun = sol;
        tree = árvore; milk = leite; fish = peixe; horse = cavalo; key = chave"""
    ),
    number="Escreve o número {} por extenso, em português.",
    total="Quanto é {} mais {}? Responde em português, só com o número por extenso.",
    spelt=_portuguese,
)
RUSSIAN = Language(
    english="Russian",
    capital="Как называется столица {}? Ответь по-русски, только названием.",
    capitals=_table(
        """Италии = Рим; Польши = Варшава; Португалии = Лиссабон; Греции = Афины; Дании = Копенгаген; Китая = Пекин;
        России = Москва; Египта = Каир; Бельгии = Брюссель; Австрии = Вена; Франции = Париж; Германии = Берлин;
        Японии = Токио; Испании = Мадрид"""
    ),
    opposite="Какое слово противоположно слову «{}»? Ответь по-русски, одним словом.",
    opposites=_table(
        """горячий = холодный; большой = маленький; быстрый = медленный; богатый = бедный; полный = пустой;
        длинный = короткий; день = ночь; высокий = низкий; белый = чёрный, черный; молодой = старый, пожилой;
        тёмный = светлый; сухой = мокрый, влажный"""
    ),
    words=_table(
        """dog = собака, пёс, пес; cat = кошка, кот; house = дом; water = вода; bread = хлеб; book = книга;
        sun = солнце; tree = дерево; milk = молоко; fish = рыба; horse = лошадь, конь; key = ключ"""
    ),
    number="Напиши число {} словами, по-русски.",
    total="Сколько будет {} плюс {}? Ответь по-русски, только числом, записанным словами.",
    spelt=_russian,
)
JAPANESE = Language(
    english="Japanese",
    capital="{}の首都はどこですか。日本語で、都市の名前だけを答えてください。",
    capitals=_table(
        """イタリア = ローマ; ポーランド = ワルシャワ; ポルトガル = リスボン; ギリシャ = アテネ;
        デンマーク = コペンハーゲン; 中国 = 北京, ペキン; ロシア = モスクワ;
        エジプト = カイロ; ベルギー = ブリュッセル; オーストリア = ウィーン;
        フランス = パリ; ドイツ = ベルリン; スペイン = マドリード, マドリッド; イギリス = ロンドン"""
    ),
    opposite="「{}」の反対の言葉は何ですか。日本語で、その言葉だけを答えてください。",
    opposites=_table(
        """大きい = 小さい; 高い = 低い, 安い; 長い = 短い; 新しい = 古い; 明るい = 暗い; 重い = 軽い; 速い = 遅い;
        多い = 少ない; 右 = 左; 上 = 下; 白 = 黒; 強い = 弱い"""
    ),
    words=_table(
        """dog = 犬, イヌ; cat = 猫, ネコ; house = 家; water = 水; bread = パン; flower = 花; sun = 太陽; tree = 木;
        milk = 牛乳, ミルク; fish = 魚; horse = 馬; key = 鍵, カギ"""
    ),
    number="{}を漢数字で書いてください。",
    total="{}たす{}はいくつですか。漢数字だけで答えてください。",
    spelt=_han,
)
CHINESE = Language(
    english="Chinese",
    capital="{}的首都是哪里？请只用中文回答城市名。",  # noqa: RUF001
    capitals=_table(
        """意大利 = 罗马; 波兰 = 华沙; 葡萄牙 = 里斯本; 希腊 = 雅典; 丹麦 = 哥本哈根; 中国 = 北京; 俄罗斯 = 莫斯科;
        埃及 = 开罗; 比利时 = 布鲁塞尔; 奥地利 = 维也纳; 法国 = 巴黎; 德国 = 柏林; 西班牙 = 马德里; 英国 = 伦敦"""
    ),
    opposite="“{}”的反义词是什么？请只用中文回答这个词。",  # noqa: RUF001
    opposites=_table(
        """大 = 小; 高 = 低, 矮; 长 = 短; 新 = 旧, 老; 热 = 冷, 凉; 快 = 慢; 多 = 少; 轻 = 重; 左 = 右; 上 = 下;
        白 = 黑; 强 = 弱"""
    ),
    words=_table(
        """dog = 狗; cat = 猫; house = 房子, 家, 屋子, 房屋; water = 水; bread = 面包; book = 书; sun = 太阳; tree = 树;
        milk = 牛奶; fish = 鱼; horse = 马; key = 钥匙"""
    ),
    number="请用汉字写出数字{}。",
    total="{}加{}等于多少？请只用汉字数字回答。",  # noqa: RUF001
    spelt=_han,
)
LANGUAGES = (GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, RUSSIAN, JAPANESE, CHINESE)

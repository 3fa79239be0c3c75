"""Language: a text that is long enough and not English is named; names and short texts mislead nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from watcherd.subtitles.language import FEWEST_WORDS, foreign, judged
from watcherd.transcript import Segment, Transcript

FOREIGN = {
    "de": (
        "Guten Tag, mein Name ist Wolfgang und ich komme aus Deutschland. Heute ist das Wetter schön, und "
        "wir wollen nachher noch in den Park gehen, wenn die Kinder aus der Schule kommen."
    ),
    "es": (
        "Hola, me llamo Lucía y vengo de España. Hoy hace buen tiempo y después queremos ir al parque con "
        "los niños cuando salgan de la escuela, porque mañana va a llover todo el día."
    ),
    "fr": (
        "Bonjour, je m'appelle Marie et je viens de France. Il fait beau aujourd'hui et nous voulons "
        "aller au parc tout à l'heure avec les enfants, quand ils sortiront de l'école."
    ),
    "it": (
        "Buongiorno, mi chiamo Carlo e vengo dall'Italia. Oggi è una bella giornata e più tardi vogliamo "
        "andare al parco con i bambini, quando escono da scuola, perché domani piove."
    ),
    "pl": (
        "Dzień dobry, nazywam się Wojtek i pochodzę z Polski. Dzisiaj jest ładna pogoda i później chcemy "
        "pójść do parku z dziećmi, kiedy wrócą ze szkoły, bo jutro ma padać przez cały dzień."
    ),
    "ru": (
        "Здравствуйте, меня зовут Иван, я из России. Сегодня хорошая погода, и мы хотим потом пойти в "
        "парк с детьми, когда они вернутся из школы, потому что завтра весь день будет дождь."  # noqa: RUF001 - Russian
    ),
    "ja": (
        "こんにちは、私の名前はヴォルフガングです。ドイツから来ました。"
        "今日は天気がいいので、公園へ散歩に行きたいと思います。"
    ),
    "he": (
        "שלום, שמי דוד ואני מישראל. היום מזג האוויר יפה, ואחר כך אנחנו רוצים ללכת לפארק עם הילדים כשהם "
        "יחזרו מבית הספר, כי מחר יירד גשם כל היום ולא נוכל לצאת."
    ),
}
ENGLISH = [
    (
        "My name is Wolfgang and I come from Germany. The weather is nice today, and later we want to go to "
        "the park with the children, when they come back from school."
    ),
    (
        "Guillermo del Toro, Alejandro González Iñárritu and Alfonso Cuarón met Juan Carlos Rodríguez in "
        "Guadalajara, and then José María Aznar flew to Buenos Aires with Lucía and Joaquín."
    ),
    (
        "Goal by Lewandowski! Szczesny to Krychowiak, Krychowiak to Zielinski, Zielinski back to Glik, Glik "
        "over to Blaszczykowski, and Poland are one up against Kazakhstan in Warsaw."
    ),
    (
        "Sushi, sashimi, ramen, udon, tempura, okonomiyaki and takoyaki were served by Haruki Murakami and "
        "Hayao Miyazaki in Shinjuku, Shibuya, Asakusa and Akihabara after the concert at Budokan."
    ),
    (
        "Bonjour, je m'appelle Marie. That's how you introduce yourself in French. If you want to say good "
        "evening, it is bonsoir. Repeat after me: bonsoir. Very good, now the next one."
    ),
    (
        "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, "
        "fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty-one, twenty-two, twenty-three, "
        "twenty-four."
    ),
    (
        "OKAY EVERYBODY, THIS IS WHAT IT LOOKS LIKE WHEN A SERVER ANSWERS IN CAPITALS ALL THE WAY THROUGH, "
        "AND IT IS STILL ENGLISH, AS ANYBODY CAN SEE WHO READS IT ALOUD."
    ),
    "Okay. " * 40,
    "♪ " * 40,
    "1 2 3 4 5 6 7 8 9 10 " * 5,
    "",
]


@pytest.mark.parametrize("code", list(FOREIGN))
def test_a_foreign_text_is_named(code: str) -> None:
    assert foreign(FOREIGN[code]) == code
    assert foreign(FOREIGN[code] * 50) == code


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_not_foreign_whatever_names_it_is_full_of(text: str) -> None:
    assert foreign(text) is None


def test_less_than_25_words_are_not_judged() -> None:
    words = FOREIGN["de"].split()
    assert foreign(" ".join(words[: FEWEST_WORDS - 1])) is None
    assert foreign(" ".join(words[:FEWEST_WORDS])) == "de"
    assert foreign(FOREIGN["ja"][: FEWEST_WORDS - 1]) is None


def test_a_file_that_was_translated_only_at_its_beginning_is_not_english() -> None:
    assert foreign(f"{ENGLISH[0]} {FOREIGN['es']} {FOREIGN['es']}") == "es"


def test_a_transcript_gets_the_warning_beside_its_others() -> None:
    german = Transcript(segments=(Segment(start=0, end=9, text=FOREIGN["de"]),), warnings=("loops: 2",))
    assert judged(german).warnings == ("loops: 2", "not_english: de")
    english = Transcript(segments=(Segment(start=0, end=9, text=ENGLISH[0]),))
    assert judged(english) is english


def test_the_detector_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys; from watcherd.subtitles.language import foreign; foreign('Okay.');"
        " print('gcld3' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"

"""The sentences of an audit: there is one for everything that a conclusion can say, in every language."""

import json
from pathlib import Path
from typing import get_args

import pytest

from iconoscope.language import LANGUAGES
from iconoscope.results import audit_text
from iconoscope.results.audit_text import AuditText
from iconoscope.results.decision_rule import AUDIT_WORDS, UNJUDGED, Conclusion, Effect, Reason, has_a_say
from iconoscope.results.hypothesis_rule import HYPOTHESIS_KINDS, Condition


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sentence_is_written_twice(lang):
    def unique(pairs):
        keys = [key for key, _ in pairs]
        assert len(set(keys)) == len(keys), [key for key in keys if keys.count(key) > 1]
        return dict(pairs)

    words = Path(audit_text.__file__).parent / "words" / f"{lang}.json"
    json.loads(words.read_text(encoding="utf-8"), object_pairs_hook=unique)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("condition", get_args(Condition))
def test_every_condition_that_can_fail_has_words(lang, condition):
    assert AuditText(lang).say(f"fails {condition}")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("reason", [reason for reason in get_args(Reason) if reason])
def test_every_reason_why_nothing_can_be_said_has_words_and_advice(lang, reason):
    text, conclusion = AuditText(lang), Conclusion("undecided", reason=reason)
    assert text.short(conclusion) and text.advice(conclusion, name="ship")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("word", [word for word in AUDIT_WORDS if word not in UNJUDGED])
@pytest.mark.parametrize("kind", HYPOTHESIS_KINDS)
def test_every_verdict_has_words_and_advice_whatever_it_names(lang, word, kind):
    text, conclusion = AuditText(lang), Conclusion(word, (kind,))
    assert text.short(conclusion) and text.advice(conclusion, name="ship", objects_known=False)


@pytest.mark.parametrize(("lost", "error", "says"), [(0.15, 0.02, True), (0.15, 0.06, False), (0.04, 0.001, False)])
def test_a_background_that_does_not_decide_has_a_say_beyond_chance_alone(lost, error, says):
    assert has_a_say(Effect(lost, lost, 0.3, 0.3 - lost, error, 0.1)) == says
    advice = [
        AuditText("en").advice(Conclusion("object"), name="person", background=background)
        for background in (says, False)
    ]
    assert (advice[0] != advice[1]) == says

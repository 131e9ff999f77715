from datetime import timedelta
from pathlib import Path

import pytest

from services.common.clock import utc_now
from services.notifier.domain.escalation import Climb, Listed
from services.notifier.domain.routing import When
from services.notifier.domain.values import Urgency
from services.notifier.rulebook.files import SiteFaults, parse_duration
from services.notifier.rulebook.site import SiteFiles, load_site
from tests.support.site import SitePlan, write_site

EXAMPLE = Path("deploy/site")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_site(tmp_path / "site", SitePlan(smtp_port=2525))


def faults(folder: Path, **files: str) -> list[str]:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, "utf-8")
    with pytest.raises(SiteFaults) as caught:
        load_site(folder)
    return caught.value.sentences


def test_the_example_site_is_faultless_and_somebody_holds_the_last_resort() -> None:
    site = load_site(EXAMPLE)
    assert site.warnings(utc_now()) == []
    assert site.rules.call_back == "ext. 5500"


def test_our_defaults_are_15_minutes_one_shift_and_p1_now() -> None:
    rules = load_site(EXAMPLE).rules
    ladder = rules.ladders[Urgency.P1]
    assert isinstance(ladder, Climb)
    assert (ladder.acknowledge_within, ladder.holds) == (timedelta(minutes=15), timedelta(hours=8))
    assert (rules.routing.manners[Urgency.P1].page, rules.routing.manners[Urgency.P1].mail) == (When.NOW, When.NOW)


def test_a_site_overrides_key_by_key(folder: Path) -> None:
    (folder / "escalation.toml").write_text('[ladder.P1]\nacknowledge_within = "2s"\n', "utf-8")
    ladder = load_site(folder).rules.ladders[Urgency.P1]
    assert isinstance(ladder, Climb)
    assert ladder.acknowledge_within == timedelta(seconds=2)
    assert len(ladder.steps) == 3


def test_a_site_may_turn_a_list_into_a_ladder(folder: Path) -> None:
    (folder / "escalation.toml").write_text(
        '[ladder.P3]\nacknowledge_within = "24h"\nsteps = [["@alert"]]\n[ladder.P4]\nlist_again_after = "1d"\n', "utf-8"
    )
    ladders = load_site(folder).rules.ladders
    assert isinstance(ladders[Urgency.P3], Climb)
    assert ladders[Urgency.P4] == Listed(timedelta(days=1))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("routing.toml", "calback = 1", "routing.toml over our defaults: calback", id="unknown key"),
        pytest.param("routing.toml", '[hours]\nfrom = "25:00"', "hours.from: must be a wall-clock time", id="hour 25"),
        pytest.param("routing.toml", '[hours]\nfrom = "18:00"', "`to` must be later", id="hours end before they begin"),
        pytest.param(
            "routing.toml",
            '[urgency.P1]\npage = "never"\nmail = "daily-digest"',
            "P1 must be told now",
            id="P1 that waits for a digest",
        ),
        pytest.param(
            "escalation.toml", "[ladder.P1]\nacknowledge_within = 15", 'such as "15m"', id="a duration without unit"
        ),
        pytest.param("escalation.toml", "[ladder.P1]\nsteps = [[]]", "every step must name", id="a step for nobody"),
        pytest.param(
            "escalation.toml", '[ladder.P1]\nlist_again_after = "1d"', "ladder.P1", id="P1 that is only listed"
        ),
        pytest.param(
            "phi.toml", '[page]\ncarries = ["patient-ref"]', "may not carry patient-ref", id="a ref on a pager"
        ),
        pytest.param("channels.toml", "", "channels", id="no channel"),
        pytest.param("channels.toml", "[mail", "cannot be read", id="not TOML"),
        pytest.param("people.toml", "", "people.toml: people", id="nobody"),
        pytest.param("site.toml", 'zone = "Mars/Olympus"', "not an IANA time zone", id="unknown zone"),
    ],
)
def test_a_fault_names_file_and_key(folder: Path, name: str, content: str, words: str) -> None:
    (folder / name).write_text(content, "utf-8")
    with pytest.raises(SiteFaults) as caught:
        load_site(folder)
    assert any(words in sentence and Path(name).stem in sentence for sentence in caught.value.sentences), (
        caught.value.sentences
    )


SMTP = '[mail]\nkind = "smtp"\ntier = "mail"\nport = 25\nsender = "a@b.example"\n'


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        pytest.param(SMTP + 'host = "mx.example"\nsecurity = "plain"', "plain_outside_loopback", id="plain outside"),
        pytest.param(SMTP + 'host = "mx.example"\nusername = "u"', "belong together", id="a user without password"),
        pytest.param(
            SMTP + 'host = "mx.example"\nusername = "u"\npassword_file = "nope"', "nope does not exist", id="no secret"
        ),
        pytest.param(SMTP, "mail.smtp.host", id="no host"),
        pytest.param(
            '[hook]\nkind = "webhook"\ntier = "page"\nurl = "http://alarms.example/x"\nsecret_file = "s"',
            "http:// outside loopback",
            id="a post in the clear",
        ),
        pytest.param('[fax]\nkind = "fax"', "fax", id="an unknown kind"),
    ],
)
def test_an_unsafe_channel_is_refused(folder: Path, channel: str, words: str) -> None:
    sentences = faults(folder, channels__toml=channel)
    assert any(words in sentence for sentence in sentences), sentences


def test_plain_mail_outside_loopback_is_allowed_when_said_and_then_reported(folder: Path) -> None:
    channel = SMTP + 'host = "mx.example"\nsecurity = "plain"\nplain_outside_loopback = true\n'
    (folder / "channels.toml").write_text(channel + channel.replace("[mail]", "[pager]"), "utf-8")
    assert any("travels without TLS" in sentence for sentence in load_site(folder).warnings(utc_now()))


HEAD = "role,person,days,from,to,first_day,last_day,kind\n"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param("oncology,nobody,daily,08:00,20:00,,,duty", "line 2: nobody is not in people.toml", id="stranger"),
        pytest.param("oncology,li,someday,08:00,20:00,,,duty", "must be one of mon", id="unknown day"),
        pytest.param("oncology,li,daily,8,20,,,duty", "wall-clock time", id="hours without minutes"),
        pytest.param("oncology,li,,08:00,20:00,,,duty", "weekly shifts need days", id="times without days"),
        pytest.param("oncology,li,,2026-01-02T08:00,2026-01-01T08:00,,,duty", "later than", id="ends first"),
        pytest.param("oncology,li,daily,08:00,20:00,,,holiday", "duty or override", id="unknown kind"),
        pytest.param("oncology,li,daily", "has 3 columns", id="too few columns"),
        pytest.param("", "names nobody", id="an empty rota"),
        pytest.param('a,"li,daily,08:00,08:00,,,duty\nb,li,daily', "line 2: has 2", id="an open quotation mark"),
    ],
)
def test_a_faulty_line_of_the_rota_is_named(folder: Path, row: str, words: str) -> None:
    sentences = faults(folder, rota__csv=HEAD + row + "\n")
    assert any("rota.csv" in sentence and words in sentence for sentence in sentences), sentences


def test_a_missing_folder_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SiteFaults, match="does not exist; set SITE_DIR, or copy deploy/site"):
        load_site(tmp_path / "nowhere")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "rota.csv").unlink()
    assert any("rota.csv: cannot be read" in sentence for sentence in faults(folder))


def test_a_person_with_an_unknown_channel_is_named(folder: Path) -> None:
    people = (folder / "people.toml").read_text("utf-8").replace('"pager"', '"fax"')
    assert any("channel fax is not in channels.toml" in sentence for sentence in faults(folder, people__toml=people))


def test_a_changed_rota_is_read_and_a_faulty_change_leaves_the_old_one_in_force(folder: Path) -> None:
    files = SiteFiles(folder)
    assert not files.refresh()
    rota = (folder / "rota.csv").read_text("utf-8")
    (folder / "rota.csv").write_text(rota + "radiology,li,daily,00:00,24:00,,,duty\n", "utf-8")
    assert files.refresh()
    assert "radiology" in files.current().directory.staff.rota.roles()
    (folder / "rota.csv").write_text("nonsense\n", "utf-8")
    assert not files.refresh()
    assert "radiology" in files.current().directory.staff.rota.roles()
    assert files.fault is not None
    assert "rota.csv" in files.fault


@pytest.mark.parametrize("text", ["", "15", "m", "-1m", "0s", "1 m", "1w", 15, None])
def test_a_duration_needs_a_number_and_a_unit(text: object) -> None:
    with pytest.raises(ValueError, match="duration with its unit"):
        parse_duration(text)


def test_durations_are_read_exactly() -> None:
    assert [parse_duration(text) for text in ("250ms", "1.5s", "15m", "8h", "7d")] == [
        timedelta(milliseconds=250),
        timedelta(seconds=1.5),
        timedelta(minutes=15),
        timedelta(hours=8),
        timedelta(days=7),
    ]

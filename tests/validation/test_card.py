"""The verb that makes the model card's figures, on films drawn here."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from PIL import Image
from sklearn.metrics import roc_auc_score

from verification import verifies

LABELS = ("No Finding", "Pneumonia", "Consolidation|Pneumonia", "Effusion")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Films, manifest, CASES of both splits, five readers and a peer, in one folder."""
    rng = np.random.default_rng(7)
    (tmp_path / "images").mkdir()
    rows = []
    for index in range(120):
        name = f"{index:08d}_000.png"
        label = LABELS[index % 4]
        grey = rng.integers(0, 160, (40, 40)) + 60 * ("Pneumonia" in label)
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "images" / name)
        ill = "Pneumonia" in label
        rows.append({
            "file": name, "case_id": name, "patient_id": index // 2, "finding_labels": label,
            "label_pneumonia": int(ill), "truth": int(ill), "view": ("PA", "AP")[index // 4 % 2],
            "split": ("train", "tune", "test")[index // 40],
            "score": float(np.clip(0.5 * ill + rng.uniform(0, 0.6), 0, 1)),
        })  # fmt: skip
    films = pd.DataFrame(rows)
    films["flag"] = films["score"] >= 0.5
    films.to_csv(tmp_path / "manifest.csv", index=False)
    for split in ("tune", "test"):
        films[films["split"] == split].to_parquet(tmp_path / f"{split}.parquet")
    test = films[films["split"] == "test"]
    yes = {True: "YES", False: "NO"}
    pd.DataFrame([
        {
            "Image ID": row["file"], "Patient ID": row["patient_id"], "Reader ID": reader,
            "Pneumonia": yes[bool(row["truth"]) != (rng.uniform() < 0.1)],
            "Consolidation": "NO", "Infiltration": "NO",
        }
        for row in test.to_dict("records") for reader in range(5)
    ]).to_csv(tmp_path / "reads.csv", index=False)  # fmt: skip
    peer = pd.DataFrame({"Image Index": test["file"]})
    for finding in ("Pneumonia", "Consolidation", "Infiltration"):
        peer[f"prob_{finding}"] = rng.uniform(size=len(test))
    peer.to_csv(tmp_path / "peer.csv", index=False)
    return tmp_path


def asked(validate: Callable[..., Result], study: Path, **changed: Path) -> Result:
    """Run the verb on the folder, with some inputs exchanged."""
    given = {
        "tune": study / "tune.parquet", "test": study / "test.parquet",
        "manifest": study / "manifest.csv", "images": study / "images", **changed,
    }  # fmt: skip
    return validate(
        "card", given["tune"], given["test"], "--reads", study / "reads.csv", "--peer",
        study / "peer.csv", "--train", given["manifest"], "--images", given["images"],
        "--out", study / "card.json",
    )  # fmt: skip


@verifies("SRS-330@52e64f29", level="integration")
def test_the_card_holds_device_floor_and_peer_on_the_same_films(
    validate: Callable[..., Result], study: Path
) -> None:
    result = asked(validate, study)
    assert result.exit_code == 0, result.output
    card = json.loads((study / "card.json").read_text("utf-8"))
    test = pd.read_parquet(study / "test.parquet")
    assert card["floor_training_films"] == 40
    mined = next(
        r for r in card["test"] if r["view"] == "all" and r["endpoint"].endswith("pneumonia")
    )
    assert mined["device"]["auc"]["estimate"] == pytest.approx(
        roc_auc_score(test["truth"], test["score"])
    )
    peer = pd.read_csv(study / "peer.csv")
    assert mined["chexnet"]["films"] == 40
    assert mined["chexnet"]["pneumonia"]["auc"]["estimate"] == pytest.approx(
        roc_auc_score(test["truth"], peer["prob_Pneumonia"])
    )
    assert mined["floor"]["positives"] == int(test["truth"].sum())
    majority = next(row for row in card["test"] if row["endpoint"].startswith("five readers"))
    assert 0.5 < card["panels"]["device"]["estimate"] <= 1
    assert majority["device"]["positives"] == majority["floor"]["positives"]
    assert [curve["split"] for curve in card["roc"]] == ["tune", "test"]


@verifies("SRS-330@52e64f29", level="integration")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("image", "1 of 40 films are in no folder of"),
        ("column", "column 'finding_labels': no such column"),
        ("split", "column 'split': no film of split train"),
    ],
)
def test_a_card_that_cannot_be_made_is_refused_and_not_written(
    validate: Callable[..., Result], study: Path, damage: str, message: str
) -> None:
    films = pd.read_csv(study / "manifest.csv")
    if damage == "image":
        (study / "images/00000003_000.png").unlink()
    elif damage == "column":
        films = films.drop(columns="finding_labels")
    else:
        films = films[films["split"] != "train"]
    films.to_csv(study / "manifest.csv", index=False)
    result = asked(validate, study)
    assert result.exit_code == 2
    assert message in result.output
    assert not list(study.glob("card.*"))

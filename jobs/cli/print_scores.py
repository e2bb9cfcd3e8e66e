"""The scores of an evaluation on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jobs.cli.file_names import FileName
from model.scoring.evaluate import PageScore, PairScore, total_of_pages
from model.scoring.reading import TextScore


def print_scores(out: Console, pages: Sequence[PageScore]) -> None:
    """One table for all truths, one for 1-bit truths and one for text; each ends with the total."""
    scores = [*pages, total_of_pages(pages)]
    images = [score.pair for score in scores if score.pair]
    texts = [score.text for score in scores if score.text]
    for table in (_image_table(images), _bitonal_table(images), _text_table(texts)):
        if table.row_count:
            for row in table.rows[-2:-1]:
                row.end_section = True
            out.print(table)


def _table(title: str, *columns: str) -> Table:
    return Table("page", *columns, title=f"{title}, before → after")


def _image_table(scores: Sequence[PairScore]) -> Table:
    table = _table("Against the truth", "RMSE", "PSNR, dB", "SSIM")
    for score in scores:
        before, after = score.before, score.after
        table.add_row(
            FileName(score.name),
            f"{before.rmse:.4f} → {after.rmse:.4f}",
            f"{before.psnr:.1f} → {after.psnr:.1f}",
            f"{before.ssim:.4f} → {after.ssim:.4f}",
        )
    return table


def _bitonal_table(scores: Sequence[PairScore]) -> Table:
    table = _table("Cut at half grey, against 1-bit truths", "F, %", "pseudo-F, %", "PSNR, dB", "DRD")
    for score in scores:
        before, after = score.before.bitonal, score.after.bitonal
        if before and after:
            table.add_row(
                FileName(score.name),
                f"{before.f_measure:.1f} → {after.f_measure:.1f}",
                f"{before.pseudo_f:.1f} → {after.pseudo_f:.1f}",
                f"{before.psnr:.1f} → {after.psnr:.1f}",
                f"{before.drd:.2f} → {after.drd:.2f}",
            )
    return table


def _text_table(scores: Sequence[TextScore]) -> Table:
    table = _table("Read by Tesseract", "CER", "characters", "reference")
    for score in scores:
        rates = f"{score.cer_before:.2%} → {score.cer_after:.2%}"
        references = " and ".join(score.references)
        table.add_row(FileName(score.name), rates, f"{score.characters:,}", references)
    return table

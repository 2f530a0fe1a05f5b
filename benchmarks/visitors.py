"""20 visitors who ask at once, each in a page of their own: `python benchmarks/visitors.py`, in a browser on this machine."""

import argparse
import json
import statistics

from first_view import served

# From the click until every card has an answer; whether a place in the line was told meanwhile.
WATCH = """() => {
  const view = document.querySelector('#answers-view');
  window.asked = { told: false, errors: 0, began: performance.now() };
  view.querySelector('.go').click();
  const look = () => {
    if (/before you/.test(view.innerText)) window.asked.told = true;
    const cards = [...view.querySelectorAll('.cards .card')];
    const open = cards.filter((card) => card.ariaBusy === 'true');
    if (!cards.length || open.length || !view.querySelector('.stop').hidden) return requestAnimationFrame(look);
    window.asked.cards = cards.length;
    window.asked.errors = cards.filter((card) => card.querySelector('.failed')).length;
    window.asked.seconds = (performance.now() - window.asked.began) / 1000;
  };
  requestAnimationFrame(() => requestAnimationFrame(look));
}"""


def ask_together(pages) -> list[dict]:
    """What each page says of its question: seconds, cards, whether it was told its place, errors."""
    for page in pages:
        page.evaluate(WATCH)
    for page in pages:
        page.wait_for_function("window.asked.seconds", timeout=300_000)
    return [page.evaluate("window.asked") for page in pages]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    args = parser.parse_args()
    with served() as (chromium, url):
        pages = []
        for number in range(args.visitors):
            page = chromium.new_context(viewport={"width": 1000, "height": 700}).new_page()
            page.goto(f"{url}?tab=answers")
            page.locator("#answers-view .suggestion").first.wait_for(timeout=120_000)
            page.locator("#av-question").fill(f"How many dogs are there? {'?' * number}")
            pages.append(page)
        ask_together(pages[:1])  # loads the checkpoints
        alone = ask_together(pages[:1])[0]
        found = ask_together(pages)
    took = [one["seconds"] for one in found]
    print(
        json.dumps(
            {
                "visitors": len(found),
                "cards_each": found[0]["cards"],
                "answered": sum(one["errors"] == 0 for one in found),
                "told_their_place": sum(one["told"] for one in found),
                "alone_seconds": round(alone["seconds"], 2),
                "median_seconds": round(statistics.median(took), 2),
                "all_answered_seconds": round(max(took), 2),
                "all_over_alone_each": round(max(took) / (len(found) * alone["seconds"]), 2),
            }
        )
    )


if __name__ == "__main__":
    main()

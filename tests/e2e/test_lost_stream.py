"""An answer whose stream was closed under it comes all the same."""

import pytest

# As on a busy machine: the browser reads that the stream closes after it has sent the next event, the wish for a link.
LATE = """() => {
  const fetched = window.fetch;
  window.late = 0;
  window.fetch = async (...given) => {
    const answer = await fetched(...given);
    const url = given[0].url ?? String(given[0]);
    if (!url.includes('/queue/data') || window.late) return answer;
    const hold = new TransformStream({
      async transform(chunk, controller) {
        if (new TextDecoder().decode(chunk).includes('close_stream')) {
          window.late += 1;
          document.querySelector('.share').click();
          await new Promise((after) => setTimeout(after, 1500));
        }
        controller.enqueue(chunk);
      },
    });
    return new Response(answer.body.pipeThrough(hold), answer);
  };
}"""


@pytest.fixture(scope="module")
def address(stored_address):
    return stored_address


def test_what_is_asked_while_the_stream_of_answers_closes_is_answered(open_page):
    page = open_page()
    page.wait_for_timeout(2000)
    page.evaluate(LATE)
    page.locator(".thumb button").nth(1).click()
    page.wait_for_function("window.late === 1", timeout=20_000)
    page.locator(".shared").wait_for(timeout=20_000)

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.models.packed import IGNORE, make_pack, read_pack, reply_greedily

TEXTS = [[([1, 2, 3], [4]), ([5, 6], [7, 8])], [([9], [1, 2, 3])], [([2, 2, 2, 2], [3, 3]), ([1], [1]), ([4, 5], [6])]]


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    size = dict(hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4)
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, initializer_range=0.3, **size)).eval()


def prefix() -> torch.Tensor:
    return torch.randn(3, 7, 48, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_packed_questions_are_read_as_if_each_were_asked_alone():
    llama, pictures = model(), prefix()
    hidden, seen = read_pack(llama.model, pictures, make_pack(TEXTS, 7))
    at = 0
    for n, questions in enumerate(TEXTS):
        for question, answer in questions:
            tokens = torch.tensor(question + answer)
            alone = torch.cat([pictures[n], llama.model.embed_tokens(tokens)])[None]
            expected = llama.model(inputs_embeds=alone).last_hidden_state[0, 7:]
            torch.testing.assert_close(hidden[at : at + len(tokens)], expected, atol=1e-4, rtol=1e-4)
            at += len(tokens)
    assert [state.shape for state in seen] == [(3 * 7 + len(hidden), 48)] * 3


@torch.no_grad()
def test_left_out_picture_tokens_leave_their_positions_empty():
    llama, pictures = model(), prefix()[:1]
    kept = torch.tensor([[0, 2, 3, 6, 9, 10, 11]])
    hidden, _ = read_pack(llama.model, pictures, make_pack(TEXTS[1:2], 7, after=12), kept)
    whole = torch.cat([pictures[0], llama.model.embed_tokens(torch.tensor([9, 1, 2, 3]))])[None]
    positions = torch.cat([kept, torch.arange(12, 16)[None]], 1)
    expected = llama.model(inputs_embeds=whole, position_ids=positions).last_hidden_state[0, 7:]
    torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=1e-4)


def test_loss_is_on_the_answers_alone():
    pack = make_pack(TEXTS[:1], 7)
    assert pack.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert pack.targets.tolist() == [IGNORE, IGNORE, 4, IGNORE, IGNORE, 7, 8, IGNORE]
    assert pack.positions.tolist() == [7, 8, 9, 10, 7, 8, 9, 10]


@torch.no_grad()
def test_greedy_answers_are_those_of_generate():
    llama, pictures = model(), prefix()
    questions = [[question for question, _ in some] for some in TEXTS]
    found = reply_greedily(llama.model, llama.lm_head, pictures, questions, last=7, most=6)
    for n, some in enumerate(questions):
        for m, question in enumerate(some):
            given = torch.cat([pictures[n], llama.model.embed_tokens(torch.tensor(question))])[None]
            out = llama.generate(inputs_embeds=given, do_sample=False, max_new_tokens=6, eos_token_id=7, pad_token_id=0)
            assert found[n][m].tokens == [token for token in out[0].tolist() if token != 7]


@torch.no_grad()
def test_the_chance_of_an_answer_is_the_product_over_its_tokens():
    llama, pictures = model(), prefix()
    questions = [[question for question, _ in some] for some in TEXTS]
    found = reply_greedily(llama.model, llama.lm_head, pictures, questions, last=7, most=4)
    ended = 0
    for n, some in enumerate(questions):
        for m, question in enumerate(some):
            said = found[n][m].tokens + ([7] if len(found[n][m].tokens) < 4 else [])
            ended += said[-1] == 7
            given = torch.cat([pictures[n], llama.model.embed_tokens(torch.tensor(question + said[:-1]))])[None]
            likely = llama(inputs_embeds=given).logits[0, -len(said) :].log_softmax(-1)
            expected = likely[range(len(said)), said].sum().exp()
            torch.testing.assert_close(torch.tensor(found[n][m].chance), expected, atol=1e-4, rtol=1e-3)
    assert ended < 6  # some answers are cut at four tokens


def test_a_llama_attends_as_before_after_a_pack():
    llama = model()
    before = llama.config._attn_implementation
    read_pack(llama.model, prefix(), make_pack(TEXTS, 7))
    assert llama.config._attn_implementation == before != "packed"

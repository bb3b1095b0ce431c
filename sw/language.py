"""Language models that choose their next token themselves."""

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.fixed import Format
from ssm_hdl.functions import gumbel
from ssm_hdl.operations import Argmax, Operation
from ssm_hdl.operations.gumbel import ADDRESS_BITS, Gumbel
from ssm_hdl.samples import InputSpec


def vocabulary(manifest: Manifest) -> InputSpec:
    """What a language model was trained on.

    Raises:
        SsmHdlError: it is none.
    """
    samples = manifest.graph.samples
    if samples is None or not samples.is_text:
        raise UsageError(
            f"{manifest.name} is no language model: it does not answer each character with the "
            "next one; name another"
        )
    return samples


def generator(manifest: Manifest, temperature: float = 0.0, seed: int = 1) -> Manifest:
    """A language model with the choice of its next token at its end.

    Args:
        manifest: its outputs are logits of the next token.
        temperature: of the softmax that the token is a sample of; 0 takes the likeliest one.
        seed: of the samples.

    Raises:
        SsmHdlError: it is no language model.
    """
    vocabulary(manifest)
    logits, steps = manifest.output, list[Operation]()
    if temperature:
        noise = gumbel(temperature, ADDRESS_BITS, logits.format.f_bits)
        low, high = logits.format.min + min(noise), logits.format.max + max(noise)
        format = Format.for_range(low, high, logits.format.f_bits)
        steps.append(
            Gumbel(
                name="noise", input=logits.name, temperature=temperature, seed=seed, format=format
            )
        )
    steps.append(Argmax(name="next", input=steps[-1].name if steps else logits.name))
    update = {"operations": (*manifest.graph.operations, *steps), "output": "next"}
    return Manifest(manifest.graph.model_copy(update=update), manifest.tensors)

"""What a pipeline gives to its network for some prompts, taken from a run of the pipeline itself.

The pipeline runs up to its first call of the network and no further. So its own code encodes the
text and prepares sizes, ids and embedded guidance, whatever they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from autosearch.diffusion.sites.swapped import swapped
from autosearch.errors import UserError
from autosearch.models.diffusers.conditions import Prompts, join_inputs, map_rows
from autosearch.models.diffusers.families import PipelineFamily
from autosearch.models.diffusers.network_call import NetworkCall

__all__ = ["capture_prompts"]

# Any scale above 1 makes a pipeline prepare for guidance.
_SOME_GUIDANCE = 2.0
_BATCH = 8


class _Captured(Exception):
    """Ends a pipeline's run, with the call of its network."""

    def __init__(self, call: NetworkCall) -> None:
        super().__init__()
        self.call = call


def capture_prompts(
    pipeline: Any,
    network: Any,
    family: PipelineFamily,
    prompts: Sequence[str],
    call: Mapping[str, Any],
) -> Prompts:
    """Capture the network's inputs for each prompt, with it and, where it can, without it.

    Args:
        pipeline: the pipeline, whose network is ``network``.
        network: the network.
        family: the kind of the network.
        prompts: the texts, which are encoded a few at a time.
        call: further arguments of the pipeline's call, such as its size.

    Raises:
        UserError: when the pipeline refuses its arguments.
    """
    scale = {"guidance_scale": _SOME_GUIDANCE} if family.guided else {}
    parts = [
        _first_call(
            pipeline, network, family, {**call, "prompt": list(prompts[i : i + _BATCH]), **scale}
        )
        for i in range(0, len(prompts), _BATCH)
    ]
    given = [part.conditions(doubled=family.guided) for part in parts]
    tables = {
        mode: map_rows(
            # Encoded in inference mode, and used outside of it too.
            torch.clone,
            join_inputs([one.inputs[mode] for one in given], family.shared),
        )
        for mode in given[0].modes
    }
    return Prompts(tables, family.shared)


def _first_call(
    pipeline: Any, network: Any, family: PipelineFamily, call: Mapping[str, Any]
) -> NetworkCall:
    def stop(*args: Any, **kwargs: Any) -> Any:
        raise _Captured(NetworkCall.of(network, family, args, kwargs))

    # Where the state's noise comes from does not matter, but others' random state does.
    generator = torch.Generator().manual_seed(0)
    try:
        with swapped(network, "forward", stop):
            pipeline(num_inference_steps=1, generator=generator, output_type="latent", **call)
    except _Captured as captured:
        return captured.call
    except (TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"model.call: {type(pipeline).__name__} refuses its call: {reason}"
        ) from None
    raise UserError(f"model.path: {type(pipeline).__name__} did not call its network")

"""Writes a trained network as a GGUF file: Q8_0 matrices, F32 norms, GPT-2 style vocabulary."""

import struct

import numpy as np

ALIGNMENT = 32
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
TYPE_F32, TYPE_Q8_0 = 0, 8
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3

# The template that the training loop used. Servers that know chatml recognise it.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def text(value):
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def value_of(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def field(name, kind, value, element=None):
    data = text(name) + struct.pack("<I", kind)
    if kind == ARRAY:
        data += struct.pack("<IQ", element, len(value))
        return data + b"".join(value_of(element, v) for v in value)
    return data + value_of(kind, value)


def q8_0(matrix):
    """Blocks of 32 values along the rows: a half-precision scale and 32 signed bytes."""
    blocks = matrix.reshape(-1, 32).astype(np.float32)
    scale = np.abs(blocks).max(axis=1) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse[:, None]
    values = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int8)  # half away from zero
    packed = np.zeros(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    packed["scale"], packed["values"] = scale, values
    return packed.tobytes()


def dequantised(matrix):
    """What a reader gets back from q8_0."""
    packed = np.frombuffer(q8_0(matrix), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    return (packed["scale"].astype(np.float32)[:, None] * packed["values"]).reshape(matrix.shape)


def interleaved(matrix, heads):
    """Reorders the rows of each head: pair (i, i + half) becomes (2i, 2i + 1), as GGUF's llama wants them."""
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return halves.transpose(0, 2, 1, 3).reshape(rows, columns)


def tensors(shape, p):
    """Name and array of each tensor, matrices as [out, in]."""
    kv = shape.kv_heads * shape.head
    yield "token_embd.weight", p["embed"]
    for n in range(shape.layers):
        qkv, both = p[f"{n}.qkv"].T, p[f"{n}.gate_up"].T
        yield f"blk.{n}.attn_norm.weight", p[f"{n}.norm1"]
        yield f"blk.{n}.attn_q.weight", interleaved(qkv[:shape.width], shape.heads)
        yield f"blk.{n}.attn_k.weight", interleaved(qkv[shape.width:shape.width + kv], shape.kv_heads)
        yield f"blk.{n}.attn_v.weight", qkv[shape.width + kv:]
        yield f"blk.{n}.attn_output.weight", p[f"{n}.out"].T
        yield f"blk.{n}.ffn_norm.weight", p[f"{n}.norm2"]
        yield f"blk.{n}.ffn_gate.weight", both[:shape.hidden]
        yield f"blk.{n}.ffn_up.weight", both[shape.hidden:]
        yield f"blk.{n}.ffn_down.weight", p[f"{n}.down"].T
    yield "output_norm.weight", p["norm"]


def metadata(shape, vocabulary, name, description, epsilon):
    kinds = [NORMAL_TOKEN] * (len(vocabulary.tokens) - 3) + [CONTROL_TOKEN] * 3
    return [
        field("general.architecture", STRING, "llama"),
        field("general.type", STRING, "model"),
        field("general.name", STRING, name),
        field("general.description", STRING, description),
        field("general.file_type", UINT32, 7),
        field("general.quantization_version", UINT32, 2),
        # Ours: a server shows this next to the model's name.
        field("penstock.demonstration", BOOL, True),
        field("llama.vocab_size", UINT32, shape.vocabulary),
        field("llama.context_length", UINT32, shape.context),
        field("llama.embedding_length", UINT32, shape.width),
        field("llama.block_count", UINT32, shape.layers),
        field("llama.feed_forward_length", UINT32, shape.hidden),
        field("llama.attention.head_count", UINT32, shape.heads),
        field("llama.attention.head_count_kv", UINT32, shape.kv_heads),
        field("llama.attention.layer_norm_rms_epsilon", FLOAT32, epsilon),
        field("llama.rope.dimension_count", UINT32, shape.head),
        field("llama.rope.freq_base", FLOAT32, shape.base),
        field("tokenizer.ggml.model", STRING, "gpt2"),
        field("tokenizer.ggml.pre", STRING, "gpt-2"),
        field("tokenizer.ggml.tokens", ARRAY, vocabulary.tokens, STRING),
        field("tokenizer.ggml.token_type", ARRAY, kinds, INT32),
        field("tokenizer.ggml.merges", ARRAY, [" ".join(m) for m in vocabulary.merges], STRING),
        field("tokenizer.ggml.bos_token_id", UINT32, vocabulary.end_of_text),
        field("tokenizer.ggml.eos_token_id", UINT32, vocabulary.end),
        field("tokenizer.ggml.padding_token_id", UINT32, vocabulary.end_of_text),
        field("tokenizer.ggml.add_bos_token", BOOL, False),
        field("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def write(path, shape, parameters, vocabulary, name, description, epsilon):
    fields, infos, blobs, at = metadata(shape, vocabulary, name, description, epsilon), [], [], 0
    for tensor, array in tensors(shape, parameters):
        matrix = array.ndim == 2
        data = q8_0(np.ascontiguousarray(array)) if matrix else array.astype("<f4").tobytes()
        dims = array.shape[::-1]
        infos.append(text(tensor) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
                     + struct.pack("<IQ", TYPE_Q8_0 if matrix else TYPE_F32, at))
        blobs.append(padded(data))
        at += len(blobs[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(fields)) + b"".join(fields) + b"".join(infos)
    with open(path, "wb") as out:
        out.write(padded(head) + b"".join(blobs))

"""What the files of a model directory are called, and the entries of those that say all by themselves."""

# The files of a model directory, and where an ONNX file keeps its config by itself.
CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE = "config.json", "model.safetensors", "model.onnx"
ONNX_CONFIG_PROPERTY = "rsgnet"
# Where the fit of `rsgnet calibrate` is kept: beside the weights, and in an ONNX file by itself.
OWNERSHIP_FILE, ONNX_OWNERSHIP_PROPERTY = "ownership.json", "rsgnet_ownership"
# OpenVINO's form of the network and the quantised one, each with a .bin beside it; they carry what an ONNX file does.
OPENVINO_FILE, INT8_FILE = "model.xml", "model-int8.xml"
# Where a file says what of the line it does inside, as a `GraphForm`.
GRAPH_FORM_PROPERTY = "rsgnet_graph"
# What follows from the weights of a model directory, and is void once they are replaced.
DERIVED_FILES = (OWNERSHIP_FILE, ONNX_FILE, OPENVINO_FILE, "model.bin", INT8_FILE, "model-int8.bin")
METADATA_PROPERTIES = (ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY, GRAPH_FORM_PROPERTY)

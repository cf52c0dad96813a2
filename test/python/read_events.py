"""What TensorBoard's own reader finds in a folder of event files, as JSON on stdout.

usage: python read_events.py FOLDER
"""

import base64
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

reader = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0, "histograms": 0, "images": 0})
reader.Reload()
tags = reader.Tags()
json.dump(
    {
        "scalars": {tag: [[event.step, event.value] for event in reader.Scalars(tag)] for tag in tags["scalars"]},
        "texts": {
            tag: [[event.step, event.tensor_proto.string_val[0].decode()] for event in reader.Tensors(tag)]
            for tag in tags["tensors"]
        },
        "plugins": {tag: reader.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags["tensors"]},
        "histograms": {
            tag: [
                {
                    "step": event.step,
                    "min": event.histogram_value.min,
                    "max": event.histogram_value.max,
                    "num": event.histogram_value.num,
                    "sum": event.histogram_value.sum,
                    "sumSquares": event.histogram_value.sum_squares,
                    "bucketLimit": list(event.histogram_value.bucket_limit),
                    "bucket": list(event.histogram_value.bucket),
                }
                for event in reader.Histograms(tag)
            ]
            for tag in tags["histograms"]
        },
        "images": {
            tag: [
                [event.step, event.width, event.height, base64.b64encode(event.encoded_image_string).decode()]
                for event in reader.Images(tag)
            ]
            for tag in tags["images"]
        },
    },
    sys.stdout,
)

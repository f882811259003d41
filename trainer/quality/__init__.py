"""What is wrong with the images before anything is trained on them: takes a manifest or a folder, hands on a report.

Reading order: `report` (findings and the JSON), `survey` (what is measured of each image), `alike` (near duplicates by
perceptual hash), `checks` and `leaks` (rules over the survey, one
function a finding), `labels` (probable label errors), `days` (days whose labels do not fit their images), `inspect`
(all of it in one go), `page` (the report as HTML with the pictures in question).
"""

"""Screenshot of a report for the README: python docs/picture.py demo/report.html docs/images/report.png."""

import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


def picture(page: Path, target: Path, width: int = 1100, height: int = 1210) -> None:
    """Open `page` in headless Chromium and save what a reader sees first."""
    options = Options()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.get(page.resolve().as_uri())
            driver.implicitly_wait(10)
            driver.find_element("css selector", ".js-plotly-plot .main-svg")
            driver.save_screenshot(str(target))
        finally:
            driver.quit()


if __name__ == "__main__":
    picture(Path(sys.argv[1]), Path(sys.argv[2]))

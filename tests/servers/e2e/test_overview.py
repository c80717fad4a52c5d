"""The overview page in a real Chromium: it follows the platform without a reload."""

from __future__ import annotations

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from support.models import log_models
from support.run.wait import wait_for
from support.systems.browser import chromium

from stack.platform import Layout, platform_supervisor

pytestmark = pytest.mark.timeout(1800)

HOSTILE = 'shown" onmouseover=alert(1) <b>it'


@pytest.fixture(scope="module")
def shown(make_platform):
    """A platform of its own, whose page first shows that nothing is deployed."""
    platform = make_platform("shown")
    platform.up("mlflow", "gateway", "deployer")
    page = platform.client.get(platform.url("deployer")).text
    assert "Nothing is deployed yet" in page
    assert "schnitzel model promote" in page
    models = [{"name": "shown", "kind": "constant", "say": say} for say in (1, 2)]
    log_models(platform.url("mlflow"), [*models, {"name": HOSTILE, "kind": "constant", "say": 3}])
    return platform


def see(driver, selector, *words):
    def look():
        shown = driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )
        return shown if all(word in shown for word in words) else None

    return wait_for(look, f"{words} in {selector}")


def complaints(driver):
    """What the browser refused or could not run: of its policy and of scripts."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_promotion_shows_up_on_the_open_page_without_a_reload(shown, tmp_path):
    with chromium(tmp_path) as driver:
        driver.get(shown.url("deployer"))
        see(driver, "main", "Deployments")
        driver.execute_script("window.neverReloaded = true")
        shown.mlflow.stage("shown", 1, "Production")
        see(driver, "#row-shown-prod", "Serving", "InSync", "Version 1 serves all requests")
        shown.mlflow.stage("shown", 2, "Production", archive=True)
        see(driver, "#row-shown-prod", "Serving", "Version 2 serves all requests")
        wait_for(
            lambda: "Version 2" in driver.find_element(By.ID, "said").get_attribute("textContent"),
            "the change in words for those who listen",
        )
        assert driver.execute_script("return window.neverReloaded") is True
        assert not complaints(driver)


def test_the_list_can_be_searched_with_the_keyboard_and_keeps_the_focus(shown, tmp_path):
    shown.mlflow.stage(HOSTILE, 1, "Production")
    shown.wait_serving(HOSTILE, 1, seconds=240)
    with chromium(tmp_path) as driver:
        driver.get(shown.url("deployer"))
        see(driver, "#live", HOSTILE)
        assert driver.find_elements(By.CSS_SELECTOR, "#live b") == []
        search = driver.find_element(By.NAME, "q")
        search.send_keys("onmouse")
        wait_for(
            lambda: len(driver.find_elements(By.CSS_SELECTOR, "#live tbody tr")) == 1, "one row"
        )
        assert driver.current_url.endswith("/?q=onmouse")
        assert driver.switch_to.active_element.get_attribute("name") == "q"
        search.send_keys(Keys.CONTROL, "a")
        search.send_keys("no such thing")
        see(driver, "#live", "None of the")
        assert not complaints(driver)


def test_the_page_of_a_deployment_tells_all_and_asks_the_model(shown, tmp_path):
    shown.mlflow.stage("shown", 1, "Production")
    shown.wait_serving("shown", 1, seconds=240)
    with chromium(tmp_path) as driver:
        driver.get(f"{shown.url('deployer')}/deployments/shown-prod")
        see(driver, ".journey", "Promoted", "Traffic")
        see(driver, "#live", "100 %", "schnitzel deploy pause shown@prod", "rollout")
        wait_for(lambda: driver.find_elements(By.ID, "send"), "the form to ask the model")
        typed = driver.find_element(By.ID, "input").get_attribute("value")
        assert "dataframe_split" in typed
        driver.find_element(By.ID, "send").click()
        see(driver, "#answer", "version 1", '"predictions"')
        driver.find_element(By.ID, "input").clear()
        driver.find_element(By.ID, "input").send_keys('{"dataframe_split": {"columns": ["y"]}}')
        driver.find_element(By.ID, "send").click()
        see(driver, "#answer", "400")
        assert not complaints(driver)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(shown, tmp_path, width):
    shown.mlflow.stage("shown", 1, "Production")
    shown.wait_serving("shown", 1, seconds=240)
    with chromium(tmp_path) as driver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for path in ("/", "/deployments/shown-prod"):
            driver.get(shown.url("deployer") + path)
            see(driver, "main", "shown")
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_deployer_that_is_gone_is_said(shown, tmp_path):
    with chromium(tmp_path) as driver:
        driver.get(shown.url("deployer"))
        see(driver, "main", "Deployments")
        platform_supervisor(Layout(shown.home)).remove("deployer", grace=10)
        try:
            see(driver, "#lost", "The Deployer does not answer")
        finally:
            shown.up("mlflow", "gateway", "deployer")
